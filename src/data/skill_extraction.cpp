// Short notes turned into JSON, and questions about them.
#include <fmt/core.h>

#include <algorithm>

#include "data/skill_makers.h"

namespace headgate {
namespace {

constexpr std::string_view kExtract[] = {
    "Extract {f} as JSON: {t}",
    "Extract the fields {f} from this text and answer with JSON.\n{t}",
    "Return JSON with {f}.\nText: {t}",
    "{t}\nExtract {f} as JSON.",
    "Give me {f} as a JSON object: {t}",
    "Turn this into JSON with the keys {f}: {t}",
    "Read the text and write {f} as JSON. {t}"};
constexpr std::string_view kSchema[] = {"Answer with JSON that fits this schema: {s}\n{t}",
                                        "{t}\nFill in this JSON schema: {s}",
                                        "Extract the data as JSON. Schema: {s}\nText: {t}",
                                        "Write JSON for this schema.\nSchema: {s}\n{t}"};
constexpr std::string_view kRead[] = {"{t}\n{q}",
                                      "{t} {q}",
                                      "Read this: {t}\n{q}",
                                      "{q}\n{t}",
                                      "Text: {t}\nQuestion: {q}",
                                      "Here is a note. {t} My question: {q}"};

constexpr std::string_view kPerson[] = {"{name} is {age} years old and lives in {city}.",
                                        "{name} lives in {city} and is {age} years old.",
                                        "My friend {name} from {city} is {age}.",
                                        "In {city} lives {name}, aged {age}."};
constexpr std::string_view kPurchase[] = {
    "In {city}, {name} bought {a_color} {item} for {price} dollars.",
    "{name} paid {price} dollars for {a_color} {item} in {city}.",
    "A {color} {item} cost {name} {price} dollars in {city}.",
    "For {price} dollars {name} got {a_color} {item} in {city}."};
constexpr std::string_view kWork[] = {"{name} works as {a_job} in {city} and is {age} years old.",
                                      "{name}, {age}, is {a_job} from {city}.",
                                      "The {job} {name} is {age} and lives in {city}.",
                                      "At {age}, {name} became {a_job} in {city}."};
constexpr std::string_view kEvent[] = {"The {event} in {city} starts on {day} at {time}.",
                                       "On {day} at {time} there is a {event} in {city}.",
                                       "Come to the {event} in {city}, {day}, {time}.",
                                       "Our {event} takes place in {city} on {day} at {time}."};
constexpr std::string_view kOrder[] = {"{name} ordered {quantity} {item} on {day}.",
                                       "Please send {quantity} {item} to {name} by {day}.",
                                       "On {day}, {name} sold {quantity} {item}.",
                                       "{name} needs {quantity} {item} for {day}."};
constexpr std::string_view kWeather[] = {
    "On {day} it was {weather} in {city} with {temperature} degrees.",
    "{city} will be {weather} on {day}, {temperature} degrees.",
    "The weather in {city} on {day}: {weather} and {temperature} degrees.",
    "{day} in {city}: {temperature} degrees and {weather}."};
constexpr std::string_view kPet[] = {"{name} is {a_color} {animal} and {age} years old.",
                                     "The {color} {animal} {name} is {age} years old.",
                                     "We have {a_color} {animal} called {name}, aged {age}.",
                                     "My {animal} {name} is {color} and turned {age}."};

// A note and the fields it states, in the order they are listed.
struct Note {
  json::object fields;
  std::string text;
};

std::string shown(const json::value& value) {
  return value.is_string() ? std::string(value.as_string()) : dump_json_python(value);
}

Slots slots_of(const json::object& fields) {
  Slots out;
  for (const auto& field : fields) {
    const std::string_view key(field.key().data(), field.key().size());
    out.emplace_back(key, shown(field.value()));
    if (key == "color") out.emplace_back("a_color", with_article(out.back().second));
    if (key == "job") out.emplace_back("a_job", with_article(out.back().second));
  }
  return out;
}

Note write_note(SkillContext& c, json::object fields, std::span<const std::string_view> patterns) {
  std::string text = fill_template(c.phrasing(patterns), slots_of(fields));
  return {std::move(fields), std::move(text)};
}

std::string clock_time(Dice& dice) {
  static constexpr std::string_view kMinutes[] = {"00", "15", "30", "45"};
  const int64_t hour = dice.between(7, 21);
  return fmt::format("{}:{}", hour, dice.pick(kMinutes));
}

std::string drawn(Dice& dice, std::span<const std::string_view> words) {
  return std::string(dice.pick(words));
}

Note draw_note(SkillContext& c) {
  static constexpr std::string_view kEvents[] = {"concert", "meeting", "lecture",
                                                 "party",   "game",    "market"};
  static constexpr std::string_view kSkies[] = {"sunny", "rainy", "cloudy", "windy", "foggy"};
  Dice& d = c.dice();
  const std::string name = c.one(WordPool::kName), city = c.one(WordPool::kCity);
  const std::string color = c.one(WordPool::kColor), day = c.one(WordPool::kDay);
  switch (d.below(7)) {
    case 0:
      return write_note(c, {{"name", name}, {"age", d.between(5, 90)}, {"city", city}}, kPerson);
    case 1: {
      const std::string item = c.one(WordPool::kThing);
      return write_note(c,
                        {{"name", name},
                         {"item", item},
                         {"color", color},
                         {"price", d.between(2, 99)},
                         {"city", city}},
                        kPurchase);
    }
    case 2: {
      const std::string job = c.one(WordPool::kJob);
      return write_note(
          c, {{"name", name}, {"job", job}, {"city", city}, {"age", d.between(20, 80)}}, kWork);
    }
    case 3: {
      const std::string event = drawn(d, kEvents), time = clock_time(d);
      return write_note(c, {{"event", event}, {"day", day}, {"time", time}, {"city", city}},
                        kEvent);
    }
    case 4: {
      const std::string item = c.one(WordPool::kFruit);
      return write_note(
          c, {{"name", name}, {"item", item}, {"quantity", d.between(2, 99)}, {"day", day}},
          kOrder);
    }
    case 5: {
      const int64_t degrees = d.between(-9, 39);
      const std::string sky = drawn(d, kSkies);
      return write_note(
          c, {{"city", city}, {"temperature", degrees}, {"weather", sky}, {"day", day}}, kWeather);
    }
    default: {
      const std::string animal = c.one(WordPool::kAnimal);
      return write_note(
          c, {{"animal", animal}, {"name", name}, {"color", color}, {"age", d.between(1, 20)}},
          kPet);
    }
  }
}

std::string schema_of(const json::object& fields) {
  json::object properties;
  json::array required;
  for (const auto& field : fields) {
    properties[field.key()] =
        json::object{{"type", field.value().is_string() ? "string" : "integer"}};
    required.emplace_back(field.key());
  }
  return dump_json_python(json::object{{"type", "object"},
                                       {"properties", std::move(properties)},
                                       {"required", std::move(required)}});
}

// What may be asked about a field, and how it is answered; {v} is the value, {x} what it is of.
struct FieldQuestion {
  std::string_view field, question, reply;
};
constexpr FieldQuestion kQuestions[] = {
    {"age", "How old is {name}?", "{name} is {v} years old."},
    {"job", "What is the job of {name}?", "{name} is {av}."},
    {"price", "How much did the {item} cost?", "The {item} cost {v} dollars."},
    {"color", "What color is the {x}?", "The {x} is {v}."},
    {"time", "At what time is the {event}?", "The {event} is at {v}."},
    {"day", "On which day was it?", "{v}."},
    {"temperature", "How many degrees was it?", "{v} degrees."},
    {"weather", "What was the weather like?", "{v}."},
    {"quantity", "How many {item} were there?", "{v}."},
    {"animal", "What kind of animal is {name}?", "{v}."},
    {"city", "Which city is it about?", "{v}."},
    {"name", "What is the name in the text?", "{v}."}};

// A sentence beside the note that answers none of the questions.
std::string distraction(SkillContext& c) {
  const std::string thing = c.one(WordPool::kThing), place = c.one(WordPool::kPlace);
  const std::string name = c.one(WordPool::kName);
  switch (c.dice().below(4)) {
    case 0:
      return fmt::format("The {} is in the {}.", thing, place);
    case 1:
      return fmt::format("{} likes to sing.", name);
    case 2:
      return fmt::format("There is a {} on the table.", thing);
    default:
      return fmt::format("{} went to the {}.", name, place);
  }
}

}  // namespace

SkillSample make_extraction(SkillContext& c, const SkillOptions&) {
  const Note note = draw_note(c);
  std::vector<std::string> keys;
  for (const auto& field : note.fields) keys.emplace_back(field.key());
  const bool schema = c.dice().chance(0.15);
  if (c.dice().chance(0.6)) {
    c.dice().shuffle(keys);
    keys.resize(static_cast<size_t>(c.dice().between(1, static_cast<int64_t>(keys.size()))));
  }
  json::object wanted;
  for (const std::string& key : keys) wanted[key] = note.fields.at(key);
  const std::string answer = dump_json_python(wanted);
  const std::string user =
      schema ? fill_template(c.phrasing(kSchema), {{"s", schema_of(wanted)}, {"t", note.text}})
             : fill_template(c.phrasing(kExtract), {{"f", joined(keys, ", ")}, {"t", note.text}});
  return question_sample(user, answer, answer, AnswerCheck::kJson);
}

SkillSample make_reading(SkillContext& c, const SkillOptions&) {
  const Note note = draw_note(c);
  std::vector<const FieldQuestion*> possible;
  for (const FieldQuestion& question : kQuestions)
    if (note.fields.contains(question.field)) possible.push_back(&question);
  const FieldQuestion& asked = *c.dice().pick(possible);
  const std::string value = shown(note.fields.at(asked.field));
  Slots slots = slots_of(note.fields);
  slots.emplace_back("v", value);
  slots.emplace_back("av", with_article(value));
  for (std::string_view owner : {"item", "animal"})
    if (note.fields.contains(owner)) slots.emplace_back("x", shown(note.fields.at(owner)));
  std::vector<std::string> sentences = {note.text};
  if (c.dice().chance(1.0 / 3)) sentences.push_back(distraction(c));
  c.dice().shuffle(sentences);
  const std::string question = fill_template(asked.question, slots);
  return question_sample(
      fill_template(c.phrasing(kRead), {{"t", joined(sentences, " ")}, {"q", question}}), value,
      capitalized(fill_template(asked.reply, slots)), AnswerCheck::kContains);
}

}  // namespace headgate
