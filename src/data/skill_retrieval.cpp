// Finding things: a sentence in a long text, a field in JSON.
#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "data/skill_makers.h"

namespace headgate {
namespace {

constexpr std::string_view kNeedle[] = {
    "What is the {k} for {x}? Find it in this text:\n\n{t}",
    "Find the {k} for {x} in the text below.\n\n{t}",
    "{t}\n\nWhat is the {k} for {x}?",
    "Read this text and tell me the {k} for {x}.\n\n{t}",
    "Here is a text:\n{t}\n\nQuestion: what is the {k} for {x}?",
    "{t}\n\nTell me the {k} for {x}."};
constexpr std::string_view kNext[] = {"And the {k} for {x}?", "What is the {k} for {x}?",
                                      "Now the {k} for {x}.", "Tell me the {k} for {x}, too.",
                                      "The {k} for {x}?",     "Which {k} belongs to {x}?"};
constexpr std::string_view kKinds[] = {"magic number", "secret code", "special word",
                                       "password",     "room number", "lucky number"};
constexpr std::string_view kField[] = {"Give me the \"{k}\" field.\n{j}",
                                       "Read the JSON and tell me the {k}.\n{j}",
                                       "What is the value of \"{k}\" in this JSON?\n{j}",
                                       "{j}\nWhat is the {k}?",
                                       "From this JSON, return {k}: {j}",
                                       "Here is some JSON: {j} What does \"{k}\" contain?",
                                       "{j}\n\nTell me the value of {k}."};

std::string needle_value(SkillContext& c, std::string_view kind) {
  static constexpr int64_t kLeast[] = {100, 1000, 1000, 100000, 1000000};
  if ((kind == "special word" || kind == "password") && c.dice().chance(0.6))
    return c.made_up_word();
  return std::to_string(c.dice().between(c.dice().pick(kLeast), 9999999));
}

// From ten words to the longest, short ones as often as long ones.
int64_t haystack_words(Dice& dice, const SkillOptions& options) {
  int64_t words = options.needle_words;
  if (options.fixed_needle) return words;
  while (words > 20 && dice.chance(0.6)) words /= 2;
  return words;
}

json::value field_value(SkillContext& c) {
  switch (c.dice().below(7)) {
    case 0:
      return json::value(c.one(WordPool::kName));
    case 1:
      return json::value(c.one(WordPool::kCity));
    case 2:
      return c.dice().between(1, 999);
    case 3:
      return c.dice().chance(0.5);
    case 4:
      return json::value(c.one(WordPool::kColor));
    case 5:
      return json::value(c.made_up_word());
    default:
      return json::value(c.one(WordPool::kThing));
  }
}

}  // namespace

SkillSample make_needle(SkillContext& c, const SkillOptions& options) {
  static constexpr WordPool kSubjects[] = {WordPool::kCity, WordPool::kName, WordPool::kThing};
  Dice& dice = c.dice();
  const std::string kind(dice.pick(kKinds));
  std::vector<std::string> subjects = c.some(dice.pick(kSubjects), dice.between(1, 3));
  std::vector<std::string> words = c.passage(haystack_words(dice, options)), values;
  for (const std::string& subject : subjects) {
    values.push_back(needle_value(c, kind));
    words.insert(words.begin() + dice.below(static_cast<int64_t>(words.size()) + 1),
                 fmt::format("The {} for {} is {}.", kind, subject, values.back()));
  }
  const auto asked = static_cast<size_t>(dice.below(static_cast<int64_t>(subjects.size())));
  const std::string user = fill_template(
      c.phrasing(kNeedle), {{"k", kind}, {"x", subjects[asked]}, {"t", joined(words, " ")}});
  return question_sample(user, values[asked],
                         fmt::format("The {} for {} is {}.", kind, subjects[asked], values[asked]),
                         AnswerCheck::kEnding);
}

// Many such sentences in one text, and a question after the other about them: a row of training
// learns as much from its length as it has questions.
SkillSample make_recall(SkillContext& c, const SkillOptions& options) {
  static constexpr WordPool kSubjects[] = {WordPool::kCity, WordPool::kName, WordPool::kThing};
  static constexpr int64_t kWordsPerFact = 40, kMostOfAKind = 6;
  struct Fact {
    std::string kind, subject, value;
    std::string text() const { return fmt::format("The {} for {} is {}.", kind, subject, value); }
  };
  Dice& dice = c.dice();
  std::vector<std::string> words = c.passage(haystack_words(dice, options));
  const int64_t count = std::clamp<int64_t>(static_cast<int64_t>(words.size()) / kWordsPerFact, 2,
                                            kMostOfAKind * int64_t{std::size(kKinds)});
  std::vector<Fact> facts;
  for (size_t kind = 0; kind < std::size(kKinds); ++kind) {
    const auto share = (count + static_cast<int64_t>(kind)) / int64_t{std::size(kKinds)};
    for (const std::string& subject : c.some(dice.pick(kSubjects), share))
      facts.push_back({std::string(kKinds[kind]), subject, needle_value(c, kKinds[kind])});
  }
  for (const Fact& fact : facts)
    words.insert(words.begin() + dice.below(static_cast<int64_t>(words.size()) + 1), fact.text());
  for (size_t i = facts.size(); i > 1; --i)
    std::swap(facts[i - 1], facts[static_cast<size_t>(dice.below(static_cast<int64_t>(i)))]);
  const std::string user =
      fill_template(c.phrasing(kNeedle),
                    {{"k", facts[0].kind}, {"x", facts[0].subject}, {"t", joined(words, " ")}});
  SkillSample out = question_sample(user, facts[0].value, facts[0].text(), AnswerCheck::kEnding);
  for (size_t i = 1; i < facts.size(); ++i) {
    const std::string next =
        fill_template(c.phrasing(kNext), {{"k", facts[i].kind}, {"x", facts[i].subject}});
    out.conversation.turns.push_back(Turn{"user", next, {}, {}, true});
    out.conversation.turns.push_back(Turn{"assistant", facts[i].text(), {}, {}, true});
    out.answer = facts[i].value;
  }
  return out;
}

SkillSample make_json_field(SkillContext& c, const SkillOptions&) {
  const std::vector<std::string> keys = c.some(WordPool::kKey, c.dice().between(3, 8));
  json::object object;
  for (const std::string& key : keys) object[key] = field_value(c);
  const std::string& asked = c.dice().pick(keys);
  const json::value& value = object[asked];
  const std::string answer =
      value.is_string() ? std::string(value.as_string()) : dump_json_python(value);
  return question_sample(
      fill_template(c.phrasing(kField), {{"k", asked}, {"j", dump_json_python(object)}}), answer,
      answer, AnswerCheck::kExact);
}

}  // namespace headgate
