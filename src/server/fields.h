// Reading of request bodies: every field has a rule, and what breaks one is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace headgate {

enum class FieldKind {
  kBoolean,
  kInteger,  // low..high; 3.0 counts as 3
  kNumber,   // low..high, finite
  kText,     // low..high bytes
  kTexts,    // a text, or a list of low..high texts
  kList,     // low..high items
  kObject,   // low..high members
  kAny
};

struct FieldRule {
  std::string_view name;
  FieldKind kind = FieldKind::kAny;
  double low = 0;
  double high = 0;
  std::string_view help;  // one sentence for the OpenAPI document
};

// A JSON object whose members were checked against rules. null counts as absent. The object must
// outlive the reader.
class Fields {
 public:
  // Throws ApiError 400 for a member without a rule (naming the nearest one), of another type, or
  // out of range. `place` stands before names: "" or "stream_options.".
  Fields(const json::object& object, std::span<const FieldRule> rules, std::string place = "");

  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<int64_t> integer(std::string_view name) const;
  std::optional<double> number(std::string_view name) const;
  std::optional<std::string> text(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;  // empty when absent
  const json::array* list(std::string_view name) const;
  const json::object* object(std::string_view name) const;
  // The value as it is; nullptr when absent or null.
  const json::value* find(std::string_view name) const;
  // Refuses a request that lacks the field.
  const json::value& require(std::string_view name) const;
  std::string path(std::string_view name) const { return place_ + std::string(name); }

 private:
  const json::object& object_;
  std::string place_;
};

std::string_view text_view(const json::string& text);

// The JSON object of a request's body. Throws ApiError 400 for anything else.
json::object parse_body(std::string_view body);

// JSON Schema of a body with these rules, for the OpenAPI document. `required`: names separated by
// spaces.
json::object schema_of(std::span<const FieldRule> rules, std::string_view required);

// Of `names`, the one most like `name`; empty when none is near.
std::string nearest_name(std::string_view name, std::span<const std::string_view> names);

}  // namespace headgate
