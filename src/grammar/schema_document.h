// A JSON schema as a document: keywords with their types checked, references resolved.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "grammar/expression.h"

namespace headgate {

// Keeps the automata of patterns and formats, which compiling and checking both need.
class SchemaDocument {
 public:
  // Throws kInvalidArgument for a reference that leads nowhere, a keyword of a wrong type, an
  // unsupported keyword; each with its pointer.
  SchemaDocument(const json::value& schema, std::string_view source);

  const json::value& root() const { return root_; }
  const std::string& source() const { return source_; }
  // "#/properties/a": the place of a schema of this document.
  std::string pointer(const json::value& schema) const;
  const json::value& resolve(const json::value& from, std::string_view reference) const;
  // The strings that a pattern occurs in; that a format allows (null: a hint, or not known).
  const Dfa& pattern(std::string_view expression);
  const Dfa* format(std::string_view name);
  WorkBudget& budget() { return budget_; }

  [[noreturn]] void refuse(const json::value& schema, std::string_view keyword,
                           std::string_view what) const;
  std::vector<std::string> notes;

 private:
  void read(const json::value& schema, std::string pointer, int depth);
  void read_object(const json::object& schema, const json::value& value, const std::string& pointer,
                   int depth);
  void read_children(const json::object& schema, const std::string& pointer, int depth);
  // Throws where schemas refer to themselves without a value in between.
  void refuse_circles() const;
  void check_keyword(std::string_view keyword, const json::value& schema, const json::value& value);

  const json::value& root_;
  std::string source_;
  WorkBudget budget_;
  std::unordered_map<const json::value*, std::string> pointers_;
  std::map<std::string, const json::value*, std::less<>> anchors_;
  std::map<std::string, Dfa, std::less<>> patterns_, formats_;
};

// Whether `value` is valid under `schema`, all supported keywords obeyed, `oneOf` strictly.
// `listed`: a schema whose own enum or const is known to hold.
bool is_valid(SchemaDocument& document, const json::value& schema, const json::value& value,
              const json::value* listed = nullptr);

// Where JSON numbers are compared by value: 1 equals 1.0.
bool same_json(const json::value& a, const json::value& b);

// Shorthands for reading schemas.
const json::value* keyword(const json::value& schema, std::string_view name);
const json::object* object_keyword(const json::value& schema, std::string_view name);
const json::array* array_keyword(const json::value& schema, std::string_view name);
inline std::string_view view_of(const json::string& text) { return {text.data(), text.size()}; }

// The schemas of the first array items, and the schema of the others (null: any), in any draft.
struct ItemSchemas {
  const json::array* prefix = nullptr;
  const json::value* rest = nullptr;
};
ItemSchemas item_schemas(const json::value& schema);
// What a schema says of the properties it does not name: additionalProperties, or
// unevaluatedProperties where that is the same; null: nothing.
const json::value* other_properties(const json::value& schema);

}  // namespace headgate
