// Checks of fields, and the same rules as JSON Schema.
#include "server/fields.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "server/api_error.h"

namespace headgate {
namespace {

constexpr int64_t kBodyDepth = 100;

std::string_view kind_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "an integer";
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "";
}

[[noreturn]] void wrong_type(const std::string& path, const json::value& value,
                             std::string_view expected) {
  throw ApiError(400, "invalid_type",
                 fmt::format("{}: found {}, expected {}", path, kind_name(value), expected), path);
}

void check_range(const std::string& path, double found, const FieldRule& rule,
                 std::string_view unit) {
  if (found >= rule.low && found <= rule.high) return;
  throw ApiError(400, "out_of_range",
                 fmt::format("{}: found {:g}{}, expected {:g} to {:g}", path, found, unit, rule.low,
                             rule.high),
                 path);
}

std::optional<double> as_number(const json::value& value) {
  if (const auto* number = value.if_int64()) return static_cast<double>(*number);
  if (const auto* number = value.if_uint64()) return static_cast<double>(*number);
  if (const auto* number = value.if_double()) return *number;
  return std::nullopt;
}

bool is_whole(double number) { return std::isfinite(number) && number == std::floor(number); }

void check_texts(const std::string& path, const json::value& value, const FieldRule& rule) {
  if (value.is_string()) return;
  if (!value.is_array()) wrong_type(path, value, "a string or an array of strings");
  check_range(path, static_cast<double>(value.get_array().size()), rule, " items");
  for (const json::value& item : value.get_array())
    if (!item.is_string()) wrong_type(path, item, "strings only");
}

void check_field(const std::string& path, const json::value& value, const FieldRule& rule) {
  const std::optional<double> number = as_number(value);
  switch (rule.kind) {
    case FieldKind::kBoolean:
      if (!value.is_bool()) wrong_type(path, value, "a boolean");
      return;
    case FieldKind::kInteger:
      if (!number || !is_whole(*number)) wrong_type(path, value, "an integer");
      return check_range(path, *number, rule, "");
    case FieldKind::kNumber:
      if (!number || !std::isfinite(*number)) wrong_type(path, value, "a finite number");
      return check_range(path, *number, rule, "");
    case FieldKind::kText:
      if (!value.is_string()) wrong_type(path, value, "a string");
      return check_range(path, static_cast<double>(value.get_string().size()), rule, " bytes");
    case FieldKind::kTexts:
      return check_texts(path, value, rule);
    case FieldKind::kList:
      if (!value.is_array()) wrong_type(path, value, "an array");
      return check_range(path, static_cast<double>(value.get_array().size()), rule, " items");
    case FieldKind::kObject:
      if (!value.is_object()) wrong_type(path, value, "an object");
      return check_range(path, static_cast<double>(value.get_object().size()), rule, " members");
    case FieldKind::kAny:
      return;
  }
}

// Edit distance, given up beyond 3.
int distance(std::string_view a, std::string_view b) {
  if (a.size() > b.size() + 3 || b.size() > a.size() + 3) return 4;
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

json::object schema_of_rule(const FieldRule& rule) {
  json::object schema;
  const auto limits = [&](const char* low, const char* high) {
    if (rule.low > 0) schema[low] = static_cast<int64_t>(rule.low);
    schema[high] = static_cast<int64_t>(rule.high);
  };
  const auto type = [](const char* name) { return json::array{name, "null"}; };
  switch (rule.kind) {
    case FieldKind::kBoolean:
      schema["type"] = type("boolean");
      break;
    case FieldKind::kInteger:
      schema["type"] = type("integer");
      // Beyond 2^53 a range says nothing that JSON's numbers could hold.
      if (std::fabs(rule.low) < 9e15) schema["minimum"] = static_cast<int64_t>(rule.low);
      if (std::fabs(rule.high) < 9e15) schema["maximum"] = static_cast<int64_t>(rule.high);
      break;
    case FieldKind::kNumber:
      schema["type"] = type("number");
      schema["minimum"] = rule.low;
      schema["maximum"] = rule.high;
      break;
    case FieldKind::kText:
      schema["type"] = type("string");
      limits("minLength", "maxLength");
      break;
    case FieldKind::kTexts:
      schema["anyOf"] = json::array{json::object{{"type", "string"}},
                                    json::object{{"type", "array"},
                                                 {"items", json::object{{"type", "string"}}},
                                                 {"minItems", static_cast<int64_t>(rule.low)},
                                                 {"maxItems", static_cast<int64_t>(rule.high)}},
                                    json::object{{"type", "null"}}};
      break;
    case FieldKind::kList:
      schema["type"] = type("array");
      limits("minItems", "maxItems");
      break;
    case FieldKind::kObject:
      schema["type"] = type("object");
      limits("minProperties", "maxProperties");
      break;
    case FieldKind::kAny:
      break;
  }
  if (!rule.help.empty()) schema["description"] = std::string(rule.help);
  return schema;
}

}  // namespace

std::string_view text_view(const json::string& text) { return {text.data(), text.size()}; }

std::string nearest_name(std::string_view name, std::span<const std::string_view> names) {
  std::string_view best;
  int least = std::min<int>(3, static_cast<int>(name.size()) / 2);
  for (const std::string_view candidate : names) {
    const int d = distance(name, candidate);
    if (d <= least && (best.empty() || d < least)) {
      best = candidate;
      least = d;
    }
  }
  return std::string(best);
}

Fields::Fields(const json::object& object, std::span<const FieldRule> rules, std::string place)
    : object_(object), place_(std::move(place)) {
  for (const auto& member : object) {
    const std::string_view name(member.key().data(), member.key().size());
    const auto rule = std::find_if(rules.begin(), rules.end(),
                                   [&](const FieldRule& r) { return r.name == name; });
    if (rule != rules.end()) {
      if (!member.value().is_null()) check_field(path(name), member.value(), *rule);
      continue;
    }
    std::vector<std::string_view> names;
    for (const FieldRule& known : rules) names.push_back(known.name);
    const std::string_view shown = name.substr(0, 100);
    const std::string near = nearest_name(shown, names);
    throw ApiError(400, "unknown_parameter",
                   near.empty()
                       ? fmt::format("unknown parameter {}", path(shown))
                       : fmt::format("unknown parameter {}: did you mean {}?", path(shown), near),
                   path(shown));
  }
}

const json::value* Fields::find(std::string_view name) const {
  const json::value* value = object_.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

const json::value& Fields::require(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) {
    throw ApiError(400, "missing_parameter", fmt::format("missing parameter {}", path(name)),
                   path(name));
  }
  return *value;
}

std::optional<bool> Fields::boolean(std::string_view name) const {
  const json::value* value = find(name);
  return value == nullptr ? std::nullopt : std::optional(value->get_bool());
}

std::optional<int64_t> Fields::integer(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = value->if_int64()) return *number;
  // Seeds may fill all 64 bits.
  if (const auto* number = value->if_uint64()) return static_cast<int64_t>(*number);
  return static_cast<int64_t>(value->get_double());
}

std::optional<double> Fields::number(std::string_view name) const {
  const json::value* value = find(name);
  return value == nullptr ? std::nullopt : as_number(*value);
}

std::optional<std::string> Fields::text(std::string_view name) const {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  return std::string(text_view(value->get_string()));
}

std::vector<std::string> Fields::texts(std::string_view name) const {
  std::vector<std::string> out;
  const json::value* value = find(name);
  if (value == nullptr) return out;
  if (value->is_string()) return {std::string(text_view(value->get_string()))};
  for (const json::value& item : value->get_array()) out.emplace_back(text_view(item.get_string()));
  return out;
}

const json::array* Fields::list(std::string_view name) const {
  const json::value* value = find(name);
  return value == nullptr ? nullptr : &value->get_array();
}

const json::object* Fields::object(std::string_view name) const {
  const json::value* value = find(name);
  return value == nullptr ? nullptr : &value->get_object();
}

json::object parse_body(std::string_view body) {
  JsonLimits limits;
  limits.depth = kBodyDepth;
  json::value value;
  try {
    value = parse_json(body, "request body", limits);
  } catch (const Error& error) {
    throw ApiError(400, "invalid_json", error.what());
  }
  if (!value.is_object())
    throw ApiError(400, "invalid_json",
                   fmt::format("request body: found {}, expected an object", kind_name(value)));
  return std::move(value.get_object());
}

json::object schema_of(std::span<const FieldRule> rules, std::string_view required) {
  std::vector<std::string_view> needed_names;
  while (!required.empty()) {
    const size_t end = std::min(required.find(' '), required.size());
    needed_names.push_back(required.substr(0, end));
    required.remove_prefix(std::min(end + 1, required.size()));
  }
  json::object properties;
  for (const FieldRule& rule : rules) {
    json::object schema = schema_of_rule(rule);
    const bool needed =
        std::find(needed_names.begin(), needed_names.end(), rule.name) != needed_names.end();
    // A field that must be there must not be null either.
    if (json::value* type = needed ? schema.if_contains("type") : nullptr) {
      json::value first = type->get_array()[0];
      *type = std::move(first);
    }
    properties[rule.name] = std::move(schema);
  }
  json::array names;
  for (const std::string_view name : needed_names)
    names.emplace_back(json::string_view(name.data(), name.size()));
  json::object schema = {
      {"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
  if (!names.empty()) schema["required"] = std::move(names);
  return schema;
}

}  // namespace headgate
