// Reading a schema once from top to bottom, refusing what cannot be obeyed.
#include "grammar/schema_document.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "grammar/character_sets.h"
#include "grammar/regex.h"
#include "grammar/string_formats.h"

namespace headgate {
namespace {

enum class Shape {
  kNote,      // without influence on what is valid
  kRefused,   // would change it and cannot be obeyed
  kSchema,    // a schema
  kSchemas,   // an array of schemas, not empty
  kItems,     // a schema or an array of them
  kNamed,     // an object of schemas
  kCount,     // a whole number from 0
  kNumber,    // a number
  kBound,     // a number, or true and false as in draft 4
  kPositive,  // a number above 0
  kText,
  kFlag,
  kNames,    // an array of strings
  kNamesBy,  // an object of arrays of strings
  kTypes,    // a type or an array of them
  kList,     // an array
  kAnything
};

struct Keyword {
  std::string_view name;
  Shape shape;
};

constexpr Keyword kKeywords[] = {{"$ref", Shape::kText},
                                 {"$defs", Shape::kNamed},
                                 {"definitions", Shape::kNamed},
                                 {"type", Shape::kTypes},
                                 {"enum", Shape::kList},
                                 {"const", Shape::kAnything},
                                 {"allOf", Shape::kSchemas},
                                 {"anyOf", Shape::kSchemas},
                                 {"oneOf", Shape::kSchemas},
                                 {"not", Shape::kSchema},
                                 {"nullable", Shape::kFlag},
                                 {"properties", Shape::kNamed},
                                 {"patternProperties", Shape::kNamed},
                                 {"additionalProperties", Shape::kSchema},
                                 {"unevaluatedProperties", Shape::kSchema},
                                 {"propertyNames", Shape::kSchema},
                                 {"required", Shape::kNames},
                                 {"minProperties", Shape::kCount},
                                 {"maxProperties", Shape::kCount},
                                 {"dependentRequired", Shape::kNamesBy},
                                 {"dependencies", Shape::kNamesBy},
                                 {"items", Shape::kItems},
                                 {"prefixItems", Shape::kSchemas},
                                 {"additionalItems", Shape::kSchema},
                                 {"minItems", Shape::kCount},
                                 {"maxItems", Shape::kCount},
                                 {"uniqueItems", Shape::kFlag},
                                 {"minLength", Shape::kCount},
                                 {"maxLength", Shape::kCount},
                                 {"pattern", Shape::kText},
                                 {"format", Shape::kText},
                                 {"minimum", Shape::kNumber},
                                 {"maximum", Shape::kNumber},
                                 {"exclusiveMinimum", Shape::kBound},
                                 {"exclusiveMaximum", Shape::kBound},
                                 {"multipleOf", Shape::kPositive},
                                 {"if", Shape::kRefused},
                                 {"contains", Shape::kRefused},
                                 {"minContains", Shape::kRefused},
                                 {"maxContains", Shape::kRefused},
                                 {"dependentSchemas", Shape::kRefused},
                                 {"unevaluatedItems", Shape::kRefused},
                                 {"$dynamicRef", Shape::kRefused},
                                 {"$recursiveRef", Shape::kRefused},
                                 {"extends", Shape::kRefused},
                                 {"disallow", Shape::kRefused},
                                 {"divisibleBy", Shape::kRefused},
                                 {"title", Shape::kNote},
                                 {"description", Shape::kNote},
                                 {"default", Shape::kNote},
                                 {"examples", Shape::kNote},
                                 {"example", Shape::kNote},
                                 {"$comment", Shape::kNote},
                                 {"$schema", Shape::kNote},
                                 {"$id", Shape::kNote},
                                 {"id", Shape::kNote},
                                 {"$anchor", Shape::kText},
                                 {"$dynamicAnchor", Shape::kNote},
                                 {"$vocabulary", Shape::kNote},
                                 {"deprecated", Shape::kNote},
                                 {"readOnly", Shape::kNote},
                                 {"writeOnly", Shape::kNote},
                                 {"contentMediaType", Shape::kNote},
                                 {"contentEncoding", Shape::kNote},
                                 {"contentSchema", Shape::kNote},
                                 {"discriminator", Shape::kNote},
                                 {"xml", Shape::kNote},
                                 {"externalDocs", Shape::kNote},
                                 {"then", Shape::kNote},
                                 {"else", Shape::kNote},
                                 {"strict", Shape::kNote}};

constexpr std::array<std::string_view, 7> kTypeNames = {"null",   "boolean", "integer", "number",
                                                        "string", "array",   "object"};

bool is_type(const json::value& value) {
  return value.is_string() && std::find(kTypeNames.begin(), kTypeNames.end(),
                                        view_of(value.get_string())) != kTypeNames.end();
}

bool is_schema(const json::value& value) { return value.is_object() || value.is_bool(); }

bool is_count(const json::value& value) {
  if (value.is_double()) {
    const double number = value.get_double();
    return number >= 0 && number <= 1e9 && number == std::floor(number);
  }
  return (value.is_int64() && value.get_int64() >= 0) || value.is_uint64();
}

template <typename Test>
bool all_of_array(const json::value& value, Test test) {
  return value.is_array() && std::all_of(value.get_array().begin(), value.get_array().end(), test);
}

bool has_shape(const json::value& value, Shape shape) {
  const auto is_text = [](const json::value& item) { return item.is_string(); };
  switch (shape) {
    case Shape::kSchema:
      return is_schema(value);
    case Shape::kSchemas:
      return all_of_array(value, is_schema) && !value.get_array().empty();
    case Shape::kItems:
      return is_schema(value) || all_of_array(value, is_schema);
    case Shape::kNamed:
      return value.is_object() && std::all_of(value.get_object().begin(), value.get_object().end(),
                                              [](const json::key_value_pair& entry) {
                                                return is_schema(entry.value());
                                              });
    case Shape::kCount:
      return is_count(value);
    case Shape::kNumber:
      return value.is_number();
    case Shape::kBound:
      return value.is_number() || value.is_bool();
    case Shape::kPositive:
      return value.is_number() && value.to_number<double>() > 0;
    case Shape::kText:
      return value.is_string();
    case Shape::kFlag:
      return value.is_bool();
    case Shape::kNames:
      return all_of_array(value, is_text);
    case Shape::kNamesBy:
      return value.is_object() && std::all_of(value.get_object().begin(), value.get_object().end(),
                                              [&](const json::key_value_pair& entry) {
                                                return all_of_array(entry.value(), is_text);
                                              });
    case Shape::kTypes:
      return is_type(value) || (all_of_array(value, is_type) && !value.get_array().empty());
    case Shape::kList:
      return value.is_array() && !value.get_array().empty();
    default:
      return true;
  }
}

std::string escape_pointer(std::string_view part) {
  std::string out;
  for (const char c : part) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

std::string unescape_pointer(std::string_view part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    const char next = i + 1 < part.size() ? part[i + 1] : '\0';
    const auto digit = [](char c) {
      return c >= '0' && c <= '9'   ? c - '0'
             : c >= 'a' && c <= 'f' ? c - 'a' + 10
             : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                    : -1;
    };
    if (part[i] == '~' && (next == '0' || next == '1')) {
      out += next == '0' ? '~' : '/';
      ++i;
    } else if (part[i] == '%' && i + 2 < part.size() && digit(next) >= 0 &&
               digit(part[i + 2]) >= 0) {
      out += static_cast<char>(digit(next) * 16 + digit(part[i + 2]));
      i += 2;
    } else {
      out += part[i];
    }
  }
  return out;
}

}  // namespace

const json::value* keyword(const json::value& schema, std::string_view name) {
  const json::object* object = schema.if_object();
  return object != nullptr ? object->if_contains(name) : nullptr;
}
const json::object* object_keyword(const json::value& schema, std::string_view name) {
  const json::value* value = keyword(schema, name);
  return value != nullptr ? value->if_object() : nullptr;
}
const json::array* array_keyword(const json::value& schema, std::string_view name) {
  const json::value* value = keyword(schema, name);
  return value != nullptr ? value->if_array() : nullptr;
}

ItemSchemas item_schemas(const json::value& schema) {
  ItemSchemas out;
  const json::value* items = keyword(schema, "items");
  if (items != nullptr && items->is_array()) {
    out.prefix = items->if_array();
    out.rest = keyword(schema, "additionalItems");
  } else {
    out.prefix = array_keyword(schema, "prefixItems");
    out.rest = items;
  }
  return out;
}

const json::value* other_properties(const json::value& schema) {
  const json::value* additional = keyword(schema, "additionalProperties");
  return additional != nullptr ? additional : keyword(schema, "unevaluatedProperties");
}

SchemaDocument::SchemaDocument(const json::value& schema, std::string_view source)
    : root_(schema), source_(source), budget_(source_) {
  read(schema, "#", 0);
  refuse_circles();
}

// Depth first with a stack of its own: chains of references may be long.
void SchemaDocument::refuse_circles() const {
  enum class Mark { kOpen, kDone };
  std::unordered_map<const json::value*, Mark> marks;
  const auto same_place = [&](const json::value& schema) {
    std::vector<const json::value*> out;
    if (const json::value* reference = keyword(schema, "$ref"))
      out.push_back(&resolve(schema, view_of(reference->get_string())));
    for (const char* name : {"allOf", "anyOf", "oneOf"})
      if (const json::array* branches = array_keyword(schema, name))
        for (const json::value& branch : *branches) out.push_back(&branch);
    if (const json::value* other = keyword(schema, "not")) out.push_back(other);
    return out;
  };
  for (const auto& entry : pointers_) {
    std::vector<const json::value*> open{entry.first};
    while (!open.empty()) {
      const json::value* schema = open.back();
      const auto [mark, is_new] = marks.emplace(schema, Mark::kOpen);
      if (!is_new) {
        mark->second = Mark::kDone;  // seen for the second time: all behind it is done
        open.pop_back();
        continue;
      }
      for (const json::value* next : same_place(*schema)) {
        const auto known = marks.find(next);
        if (known == marks.end()) {
          open.push_back(next);
        } else if (known->second == Mark::kOpen) {
          refuse(*schema, "", "this schema refers to itself without a value in between");
        }
      }
    }
  }
}

void SchemaDocument::refuse(const json::value& schema, std::string_view name,
                            std::string_view what) const {
  std::string where = pointer(schema);
  if (!name.empty()) where += "/" + escape_pointer(name);
  fail(ErrorCode::kInvalidArgument, "{}: {}: {}", source_, where, what);
}

std::string SchemaDocument::pointer(const json::value& schema) const {
  const auto found = pointers_.find(&schema);
  return found == pointers_.end() ? "#" : found->second;
}

void SchemaDocument::read(const json::value& schema, std::string where, int depth) {
  if (depth > kMostNesting) {
    fail(ErrorCode::kInvalidArgument, "{}: schemas nest deeper than {}", source_, kMostNesting);
  }
  budget_.spend(50);
  pointers_.emplace(&schema, where);
  if (schema.is_bool()) return;
  if (!schema.is_object()) {
    fail(ErrorCode::kInvalidArgument, "{}: {}: found no schema, expected an object or a boolean",
         source_, where);
  }
  read_object(schema.get_object(), schema, where, depth);
}

void SchemaDocument::read_object(const json::object& object, const json::value& schema,
                                 const std::string& where, int depth) {
  for (const auto& entry : object) check_keyword(entry.key(), schema, entry.value());
  if (const json::value* anchor = object.if_contains("$anchor"))
    anchors_.emplace(view_of(anchor->get_string()), &schema);
  const bool combines = object.contains("allOf") || object.contains("anyOf") ||
                        object.contains("oneOf") || object.contains("$ref");
  if (object.contains("unevaluatedProperties") && combines) {
    refuse(schema, "unevaluatedProperties",
           "not supported beside allOf, anyOf, oneOf or $ref; name the properties and use "
           "additionalProperties");
  }
  read_children(object, where, depth);
}

void SchemaDocument::read_children(const json::object& object, const std::string& where,
                                   int depth) {
  for (const Keyword& known : kKeywords) {
    const json::value* value = object.if_contains(known.name);
    if (value == nullptr) continue;
    const std::string base = fmt::format("{}/{}", where, known.name);
    const bool single =
        known.shape == Shape::kSchema || (known.shape == Shape::kItems && !value->is_array());
    if (single) {
      read(*value, base, depth + 1);
    } else if (known.shape == Shape::kSchemas || known.shape == Shape::kItems) {
      size_t index = 0;
      for (const json::value& item : value->get_array())
        read(item, fmt::format("{}/{}", base, index++), depth + 1);
    } else if (known.shape == Shape::kNamed) {
      for (const auto& entry : value->get_object())
        read(entry.value(), fmt::format("{}/{}", base, escape_pointer(entry.key())), depth + 1);
    }
  }
}

void SchemaDocument::check_keyword(std::string_view name, const json::value& schema,
                                   const json::value& value) {
  const auto* known = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                   [&](const Keyword& k) { return k.name == name; });
  if (known == std::end(kKeywords)) {
    const bool extension = name.substr(0, 2) == "x-";
    if (!extension && notes.size() < 100)
      notes.push_back(fmt::format("{}/{}: not a keyword of JSON schema, without effect",
                                  pointer(schema), name));
    return;
  }
  if (known->shape == Shape::kRefused) refuse(schema, name, "this keyword is not supported");
  if (!has_shape(value, known->shape)) {
    const bool by_schema = name == "dependencies";
    refuse(schema, name,
           by_schema ? "dependencies on schemas are not supported"
                     : "found a value that this keyword cannot have");
  }
  const bool unique = name == "uniqueItems" && value.get_bool();
  const json::value* most = keyword(schema, "maxItems");
  if (unique && (most == nullptr || most->to_number<double>() > 1))
    refuse(schema, name, "no grammar can keep items apart: not supported");
}

const json::value& SchemaDocument::resolve(const json::value& from,
                                           std::string_view reference) const {
  std::string_view fragment = reference;
  const size_t hash = reference.find('#');
  const std::string_view base = reference.substr(0, hash);
  const json::value* id = keyword(root_, "$id");
  const bool own =
      base.empty() || (id != nullptr && id->is_string() && view_of(id->get_string()) == base);
  if (!own)
    refuse(from, "$ref",
           fmt::format("{}: only references into this schema are resolved", reference));
  fragment = hash == std::string_view::npos ? std::string_view{} : reference.substr(hash + 1);
  if (fragment.empty()) return root_;
  if (fragment[0] != '/') {
    const auto found = anchors_.find(fragment);
    if (found == anchors_.end()) refuse(from, "$ref", fmt::format("{}: no such anchor", reference));
    return *found->second;
  }
  const json::value* at = &root_;
  while (!fragment.empty() && at != nullptr) {
    fragment.remove_prefix(1);
    const size_t end = std::min(fragment.find('/'), fragment.size());
    const std::string part = unescape_pointer(fragment.substr(0, end));
    fragment.remove_prefix(end);
    if (at->is_object()) {
      at = at->get_object().if_contains(part);
    } else if (at->is_array()) {
      const bool digits = !part.empty() && part.size() < 9 &&
                          part.find_first_not_of("0123456789") == std::string::npos;
      at = digits ? at->get_array().if_contains(std::stoul(part)) : nullptr;
    } else {
      at = nullptr;
    }
  }
  if (at == nullptr || !pointers_.contains(at))
    refuse(from, "$ref", fmt::format("{}: no schema is there", reference));
  return *at;
}

const Dfa& SchemaDocument::pattern(std::string_view expression) {
  const auto found = patterns_.find(expression);
  if (found != patterns_.end()) return found->second;
  const std::string where = fmt::format("{}: pattern {}", source_, expression.substr(0, 100));
  Dfa made = character_dfa(parse_regex(expression, false, where), budget_);
  return patterns_.emplace(expression, std::move(made)).first->second;
}

const Dfa* SchemaDocument::format(std::string_view name) {
  const auto found = formats_.find(name);
  if (found != formats_.end()) return &found->second;
  const std::optional<std::string> expression = format_pattern(name);
  if (!expression) {
    if (!is_format_hint(name) && notes.size() < 100)
      notes.push_back(fmt::format("format \"{}\" is not known and not enforced", name));
    return nullptr;
  }
  Dfa made = character_dfa(parse_regex(*expression, true, "format"), budget_);
  return &formats_.emplace(name, std::move(made)).first->second;
}

}  // namespace headgate
