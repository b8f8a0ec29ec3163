// Tool calls in the Hermes format: known tools, invented ones, and answers from their results.
#include <fmt/core.h>

#include <algorithm>

#include "data/skill_makers.h"
#include "data/text_tables.h"
#include "data/tool_specs.h"

namespace headgate {
namespace {

json::value draw_argument(SkillContext& c, ArgumentKind kind);

std::string from_list(Dice& dice, std::string_view words) {
  return dice.pick(split_list(words, ' '));
}

std::string clock_time(Dice& dice) {
  const int64_t hour = dice.between(6, 22);
  return fmt::format("{}:{}", hour, from_list(dice, "00 10 15 30 40 45"));
}

std::string book_title(SkillContext& c) {
  static constexpr std::string_view kTitles[] = {"The {a} {b}", "My {a} {b}", "The {b} of {n}",
                                                 "{n} and the {b}", "The Secret {b}"};
  const std::string a = capitalized(c.one(WordPool::kColor)), n = c.one(WordPool::kName);
  const std::string b = capitalized(c.one(WordPool::kThing));
  return fill_template(c.dice().pick(kTitles), {{"a", a}, {"b", b}, {"n", n}});
}

std::string message_text(SkillContext& c) {
  static constexpr std::string_view kTexts[] = {
      "I am late",        "see you soon",        "happy birthday",      "please call me",
      "dinner is ready",  "I am at the station", "the meeting is over", "do not forget the {x}",
      "the {x} is ready", "bring the {x}",       "I found your {x}",    "thank you for the {x}"};
  const std::string thing = c.one(WordPool::kThing);
  return fill_template(c.dice().pick(kTexts), {{"x", thing}});
}

json::value draw_text(SkillContext& c, ArgumentKind kind) {
  Dice& dice = c.dice();
  switch (kind) {
    case ArgumentKind::kLanguage:
      return json::value(from_list(
          dice, "French German Spanish Italian Dutch Polish Turkish Greek Swedish Korean"));
    case ArgumentKind::kCurrency:
      return json::value(from_list(dice, "euro dollar yen pound franc peso rupee krona"));
    case ArgumentKind::kDish:
      return json::value(
          from_list(dice, "pizza soup salad pasta burger curry sandwich omelette pancake noodles"));
    case ArgumentKind::kEventTitle:
      return json::value(
          from_list(dice, "meeting dinner lunch party concert lesson interview picnic training"));
    case ArgumentKind::kUnit:
      return json::value(from_list(dice, "celsius fahrenheit"));
    case ArgumentKind::kClock:
      return json::value(clock_time(dice));
    case ArgumentKind::kTitle:
      return json::value(book_title(c));
    case ArgumentKind::kText:
      return json::value(message_text(c));
    case ArgumentKind::kSum: {
      const int64_t a = dice.between(2, 9999), b = dice.between(2, 9999);
      return json::value(fmt::format("{} {} {}", a, from_list(dice, "+ - *"), b));
    }
    default: {
      const std::string color = c.one(WordPool::kColor), thing = c.one(WordPool::kThing);
      return json::value(color + " " + thing);
    }
  }
}

json::value draw_argument(SkillContext& c, ArgumentKind kind) {
  switch (kind) {
    case ArgumentKind::kCity:
      return json::value(c.one(WordPool::kCity));
    case ArgumentKind::kName:
      return json::value(c.one(WordPool::kName));
    case ArgumentKind::kRoom:
      return json::value(c.one(WordPool::kRoom));
    case ArgumentKind::kDay:
      return json::value(c.one(WordPool::kDay));
    case ArgumentKind::kThing:
      return json::value(c.one(WordPool::kThing));
    case ArgumentKind::kFruit:
      return json::value(c.one(WordPool::kFruit));
    case ArgumentKind::kOnOff:
    case ArgumentKind::kOpenClose:
      return c.dice().chance(0.5);
    case ArgumentKind::kSmallNumber:
      return c.dice().between(2, 90);
    case ArgumentKind::kNumber:
      return c.dice().between(2, 2000);
    case ArgumentKind::kDegrees:
      return c.dice().between(5, 35);
    default:
      return draw_text(c, kind);
  }
}

std::string_view json_type(ArgumentKind kind) {
  switch (kind) {
    case ArgumentKind::kOnOff:
    case ArgumentKind::kOpenClose:
      return "boolean";
    case ArgumentKind::kSmallNumber:
    case ArgumentKind::kDegrees:
      return "integer";
    case ArgumentKind::kNumber:
      return "number";
    default:
      return "string";
  }
}

json::value describe(std::string_view name, std::string_view description, json::object properties) {
  json::array required;
  for (const auto& property : properties) required.emplace_back(property.key());
  return json::object{
      {"type", "function"},
      {"function", json::object{{"name", name},
                                {"description", description},
                                {"parameters", json::object{{"type", "object"},
                                                            {"properties", std::move(properties)},
                                                            {"required", std::move(required)}}}}}};
}

json::value describe(const ToolSpec& spec) {
  json::object properties;
  for (const ToolParameter& parameter : spec.parameters) {
    if (parameter.kind == ArgumentKind::kNone) continue;
    json::object property = {{"type", json_type(parameter.kind)}};
    if (parameter.kind == ArgumentKind::kUnit)
      property["enum"] = json::array{"celsius", "fahrenheit"};
    properties[parameter.name] = std::move(property);
  }
  return describe(spec.name, spec.description, std::move(properties));
}

// A request with the call it asks for, and what is said about its result.
struct Request {
  std::string user;
  TrainingCall call;
  json::value tool;
  json::object result;
  std::string reply;
};

std::string shown(const json::value& value) {
  return value.is_string() ? std::string(value.as_string()) : dump_json_python(value);
}

Request known_tool(SkillContext& c, const ToolSpec& spec) {
  Request out;
  out.tool = describe(spec);
  out.call.name = std::string(spec.name);
  Slots slots;
  for (const ToolParameter& parameter : spec.parameters) {
    if (parameter.kind == ArgumentKind::kNone) continue;
    json::value value = draw_argument(c, parameter.kind);
    slots.emplace_back(parameter.name, shown(value));
    if (parameter.kind == ArgumentKind::kOnOff || parameter.kind == ArgumentKind::kOpenClose) {
      const bool yes = value.as_bool();
      const std::string word =
          parameter.kind == ArgumentKind::kOnOff ? (yes ? "on" : "off") : (yes ? "open" : "close");
      slots.emplace_back("w", word);
      slots.emplace_back("W", capitalized(word));
    }
    out.call.arguments[parameter.name] = std::move(value);
  }
  const auto end = std::find(std::begin(spec.phrasings), std::end(spec.phrasings), "");
  const std::span<const std::string_view> phrasings(std::begin(spec.phrasings), end);
  out.user = fill_template(c.phrasing(phrasings), slots);
  json::value result = "ok";
  if (spec.result != ArgumentKind::kNone) result = draw_argument(c, spec.result);
  slots.emplace_back("r", shown(result));
  out.result[spec.result_key] = std::move(result);
  out.reply = fill_template(spec.reply, slots);
  return out;
}

// A tool that exists in this prompt only: name and arguments have to be copied.
Request invented_tool(SkillContext& c) {
  struct Field {
    std::string_view name;
    ArgumentKind kind;
  };
  static constexpr Field kFields[] = {
      {"color", ArgumentKind::kNone},  {"count", ArgumentKind::kSmallNumber},
      {"city", ArgumentKind::kCity},   {"owner", ArgumentKind::kName},
      {"day", ArgumentKind::kDay},     {"room", ArgumentKind::kRoom},
      {"code", ArgumentKind::kNumber}, {"item", ArgumentKind::kFruit}};
  static constexpr std::string_view kPhrasings[] = {"{V} the {n} with {s}.", "Please {v} {a}: {s}",
                                                    "{V} {a} with {s}.", "Can you {v} the {n}? {s}",
                                                    "I want to {v} {a}, {s}."};
  Dice& dice = c.dice();
  const std::string verb =
      from_list(dice, "count check find paint move clean fix sell list track rate print");
  const std::string noun = c.one(dice.chance(0.5) ? WordPool::kThing : WordPool::kAnimal);
  std::vector<const Field*> fields;
  for (const Field& field : kFields) fields.push_back(&field);
  dice.shuffle(fields);
  fields.resize(static_cast<size_t>(dice.between(1, 3)));
  Request out;
  json::object properties;
  std::vector<std::string> said;
  for (const Field* field : fields) {
    json::value value = field->kind == ArgumentKind::kNone ? json::value(c.one(WordPool::kColor))
                                                           : draw_argument(c, field->kind);
    properties[field->name] = json::object{{"type", value.is_string() ? "string" : "integer"}};
    said.push_back(std::string(field->name) + " " + shown(value));
    out.call.arguments[field->name] = std::move(value);
  }
  out.call.name = verb + "_" + noun;
  out.tool =
      describe(out.call.name, capitalized(verb) + " " + with_article(noun), std::move(properties));
  out.user = fill_template(c.phrasing(kPhrasings), {{"v", verb},
                                                    {"V", capitalized(verb)},
                                                    {"n", noun},
                                                    {"a", with_article(noun)},
                                                    {"s", joined(said, ", ")}});
  out.result["status"] = "ok";
  out.reply = "Done.";
  return out;
}

// A request that none of the offered tools covers.
SkillSample no_tool_sample(SkillContext& c, json::array tools) {
  struct Exchange {
    std::string_view user, reply;
  };
  static constexpr Exchange kExchanges[] = {
      {"Hello!", "Hello! How can I help you?"},
      {"Thank you.", "You are welcome!"},
      {"Who are you?", "I am Headgate, a small language model."},
      {"Buy me a house.", "I am sorry, I have no tool for that."},
      {"Write a letter to the king.", "I am sorry, I have no tool for that."},
      {"Repair my car.", "I am sorry, I have no tool for that."}};
  const Exchange& exchange = c.dice().pick(kExchanges);
  SkillSample out = question_sample(std::string(exchange.user), std::string(exchange.reply),
                                    std::string(exchange.reply), AnswerCheck::kExact);
  out.conversation.tools = std::move(tools);
  return out;
}

json::array offered_tools(SkillContext& c, const Request& request) {
  Dice& dice = c.dice();
  std::vector<json::value> tools = {request.tool};
  std::vector<std::string> names = {request.call.name};
  for (int64_t more = dice.between(0, 2); more > 0; --more) {
    const ToolSpec& other =
        tool_specs()[static_cast<size_t>(dice.below(static_cast<int64_t>(tool_specs().size())))];
    if (std::find(names.begin(), names.end(), other.name) != names.end()) continue;
    names.emplace_back(other.name);
    tools.push_back(describe(other));
  }
  dice.shuffle(tools);
  return json::array(tools.begin(), tools.end());
}

}  // namespace

SkillSample make_tool_call(SkillContext& c, const SkillOptions&) {
  Dice& dice = c.dice();
  const bool invented = dice.chance(0.4);
  const auto which = static_cast<size_t>(dice.below(static_cast<int64_t>(tool_specs().size())));
  const Request request = invented ? invented_tool(c) : known_tool(c, tool_specs()[which]);
  json::array tools = offered_tools(c, request);
  if (!c.evaluation() && dice.chance(0.06)) {
    tools.erase(std::remove(tools.begin(), tools.end(), request.tool), tools.end());
    if (!tools.empty()) return no_tool_sample(c, std::move(tools));
    tools.push_back(request.tool);
  }
  const json::object call = {{"name", request.call.name}, {"arguments", request.call.arguments}};
  SkillSample out =
      question_sample(request.user, dump_json_python(call), "", AnswerCheck::kToolCall);
  out.key = request.call.name + ":" + dump_json_python(request.call.arguments);
  Conversation& conversation = out.conversation;
  conversation.tools = std::move(tools);
  conversation.turns.back().calls.push_back(request.call);
  if (!c.evaluation() && dice.chance(0.5)) {
    conversation.turns.push_back(Turn{"tool", dump_json_python(request.result), {}, {}, true});
    conversation.turns.push_back(Turn{"assistant", request.reply, {}, {}, true});
  }
  return out;
}

}  // namespace headgate
