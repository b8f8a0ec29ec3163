// Combination of schemas: references, allOf, anyOf, types, constants, arrays.
#include "grammar/schema_compiler.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace headgate {
namespace {

constexpr size_t kMostRules = 20'000;
constexpr int64_t kMostCount = 1'000'000;

int64_t count_of(const json::value& value) {
  const double number = value.to_number<double>();
  return number > static_cast<double>(kMostCount) ? kMostCount : static_cast<int64_t>(number);
}

}  // namespace

int32_t SchemaCompiler::compile(const json::value& schema) {
  const int32_t root = rule_for({{&schema, 0}});
  while (!pending_.empty()) {
    const Pending next = std::move(pending_.back());
    pending_.pop_back();
    define(next);
  }
  return root;
}

int32_t SchemaCompiler::rule_for(SchemaParts parts) {
  std::erase_if(parts, [](const SchemaPart& part) {
    return (part.schema->is_bool() && part.schema->get_bool()) ||
           (part.schema->is_object() && part.schema->get_object().empty());
  });
  SchemaParts key = parts;
  std::sort(key.begin(), key.end());
  key.erase(std::unique(key.begin(), key.end()), key.end());
  if (key.empty()) return rules_.value();
  const auto [found, is_new] = known_.emplace(std::move(key), -1);
  if (!is_new) return found->second;
  if (known_.size() > kMostRules)
    document_.refuse(*parts[0].schema, "", "the combinations of schemas are too many");
  found->second = grammar_.add_rule(document_.pointer(*parts[0].schema));
  pending_.push_back({found->second, std::move(parts)});
  return found->second;
}

void SchemaCompiler::define(const Pending& pending) {
  const int32_t start = grammar_.state(), end = grammar_.state();
  grammar_.define(pending.rule, start, end);
  SchemaParts parts = pending.parts;
  document_.budget().spend(100 * static_cast<int64_t>(parts.size() + 1));
  if (!expand(parts)) return;
  if (split(parts, start, end)) return;
  if (!add_constants(parts, start, end)) add_plain(parts, start, end);
}

bool SchemaCompiler::expand(SchemaParts& parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    const json::value& schema = *parts[i].schema;
    document_.budget().spend(10);
    if (schema.is_bool()) {
      if (!schema.get_bool()) return false;
      continue;
    }
    SchemaParts more;  // go behind this one: their properties come in this order
    const json::value* reference = keyword(schema, "$ref");
    if (reference != nullptr && (parts[i].done & SchemaPart::kReference) == 0)
      more.push_back({&document_.resolve(schema, view_of(reference->get_string())), 0});
    const json::array* all = array_keyword(schema, "allOf");
    if (all != nullptr && (parts[i].done & SchemaPart::kAll) == 0)
      for (const json::value& part : *all) more.push_back({&part, 0});
    parts[i].done |= SchemaPart::kReference | SchemaPart::kAll;
    // Whatever has been done to it elsewhere: a schema holds or it does not.
    std::erase_if(more, [&](const SchemaPart& part) {
      return std::any_of(parts.begin(), parts.end(),
                         [&](const SchemaPart& other) { return other.schema == part.schema; });
    });
    parts.insert(parts.begin() + static_cast<ptrdiff_t>(i) + 1, more.begin(), more.end());
  }
  return true;
}

bool SchemaCompiler::split(const SchemaParts& parts, int32_t start, int32_t end) {
  for (size_t i = 0; i < parts.size(); ++i) {
    for (const auto& [name, bit] :
         {std::pair("anyOf", SchemaPart::kAny), std::pair("oneOf", SchemaPart::kOne)}) {
      const json::array* branches = array_keyword(*parts[i].schema, name);
      if (branches == nullptr || (parts[i].done & bit) != 0) continue;
      if (bit == SchemaPart::kOne && document_.notes.size() < 100)
        document_.notes.push_back(
            fmt::format("{}/oneOf: read as anyOf", document_.pointer(*parts[i].schema)));
      for (const json::value& branch : *branches) {
        SchemaParts chosen = parts;
        chosen[i].done |= bit;
        const bool known = std::any_of(chosen.begin(), chosen.end(), [&](const SchemaPart& other) {
          return other.schema == &branch;
        });
        if (!known) chosen.push_back({&branch, 0});
        grammar_.nfa().add_call(start, rule_for(std::move(chosen)), end);
      }
      return true;
    }
  }
  return false;
}

bool SchemaCompiler::holds(const SchemaParts& parts, const json::value& value,
                           const json::value* listed) {
  return std::all_of(parts.begin(), parts.end(), [&](const SchemaPart& part) {
    return is_valid(document_, *part.schema, value, listed);
  });
}

bool SchemaCompiler::add_constants(const SchemaParts& parts, int32_t start, int32_t end) {
  for (const SchemaPart& part : parts) {
    const json::value* constant = keyword(*part.schema, "const");
    const json::array* list = array_keyword(*part.schema, "enum");
    if (constant != nullptr) {
      if (holds(parts, *constant, list == nullptr ? part.schema : nullptr))
        grammar_.nfa().add_epsilon(rules_.constant(start, *constant), end);
      return true;
    }
    if (list == nullptr) continue;
    for (const json::value& item : *list) {
      if (holds(parts, item, part.schema))
        grammar_.nfa().add_epsilon(rules_.constant(start, item), end);
    }
    return true;
  }
  return false;
}

uint32_t SchemaCompiler::type_mask(const json::value& type, const json::value& schema) {
  if (type.is_array()) {
    uint32_t mask = 0;
    for (const json::value& one : type.get_array()) mask |= type_mask(one, schema);
    return mask;
  }
  const std::string_view name = view_of(type.get_string());
  if (name == "null") return kNullType;
  if (name == "boolean") return kBooleanType;
  if (name == "integer") return kIntegerType;
  if (name == "number") return kIntegerType | kFractionType;
  if (name == "string") return kStringType;
  return name == "array" ? kArrayType : kObjectType;
}

uint32_t SchemaCompiler::types_of(const SchemaParts& parts) {
  uint32_t types = kAllTypes, meant = 0;
  bool named = false;
  for (const SchemaPart& part : parts) {
    const json::value* type = keyword(*part.schema, "type");
    if (type != nullptr) {
      uint32_t own = type_mask(*type, *part.schema);
      const json::value* nullable = keyword(*part.schema, "nullable");
      if (nullable != nullptr && nullable->get_bool()) own |= kNullType;
      types &= own;
      named = true;
    }
    for (const char* name : {"properties", "required", "additionalProperties", "patternProperties"})
      if (keyword(*part.schema, name) != nullptr) meant |= kObjectType;
    for (const char* name : {"items", "prefixItems", "minItems", "maxItems"})
      if (keyword(*part.schema, name) != nullptr) meant |= kArrayType;
    for (const char* name : {"pattern", "minLength", "maxLength", "format"})
      if (keyword(*part.schema, name) != nullptr) meant |= kStringType;
    for (const char* name : {"minimum", "maximum", "multipleOf", "exclusiveMinimum"})
      if (keyword(*part.schema, name) != nullptr) meant |= kIntegerType | kFractionType;
  }
  if (named || meant == 0) return types;
  if (document_.notes.size() < 100)
    document_.notes.push_back(fmt::format("{}: no type is named; taken as that of its keywords",
                                          document_.pointer(*parts[0].schema)));
  return meant;
}

uint32_t SchemaCompiler::without_constant(const json::value& schema, const json::value& constant,
                                          uint32_t types, std::vector<std::string>& words) {
  if (constant.is_string()) {
    words.emplace_back(view_of(constant.get_string()));
    return types;
  }
  if (constant.is_null()) return types & ~uint32_t{kNullType};
  const uint32_t type = constant.is_bool()     ? kBooleanType
                        : constant.is_array()  ? kArrayType
                        : constant.is_object() ? kObjectType
                                               : kIntegerType | kFractionType;
  if ((types & type) != 0) document_.refuse(schema, "not", "only strings and null can be excluded");
  return types;
}

uint32_t SchemaCompiler::without_negated(const SchemaParts& parts, uint32_t types,
                                         std::vector<std::string>& words) {
  for (const SchemaPart& part : parts) {
    const json::value* other = keyword(*part.schema, "not");
    if (other == nullptr) continue;
    if (other->is_bool() || other->get_object().empty()) {
      if (other->is_object() || other->get_bool()) return 0;
      continue;
    }
    for (const auto& entry : other->get_object()) {
      const std::string_view name = entry.key();
      if (other->get_object().size() > 1 || (name != "type" && name != "const" && name != "enum"))
        document_.refuse(*part.schema, "not",
                         "only the types, constants and strings it excludes "
                         "are supported");
      if (name == "type") {
        const uint32_t mask = type_mask(entry.value(), *part.schema);
        if ((mask & (kIntegerType | kFractionType)) == kIntegerType && (types & kFractionType) != 0)
          document_.refuse(*part.schema, "not", "numbers without the whole ones are not supported");
        types &= ~mask;
      } else if (name == "const") {
        types = without_constant(*part.schema, entry.value(), types, words);
      } else {
        for (const json::value& item : entry.value().get_array())
          types = without_constant(*part.schema, item, types, words);
      }
    }
  }
  return types;
}

void SchemaCompiler::add_plain(const SchemaParts& parts, int32_t start, int32_t end) {
  std::vector<std::string> words;
  const uint32_t types = without_negated(parts, types_of(parts), words);
  Nfa& nfa = grammar_.nfa();
  if ((types & kNullType) != 0) nfa.add_epsilon(grammar_.literal(start, "null"), end);
  if ((types & kBooleanType) != 0) {
    nfa.add_epsilon(grammar_.literal(start, "true"), end);
    nfa.add_epsilon(grammar_.literal(start, "false"), end);
  }
  const bool fractions = (types & kFractionType) != 0;
  if (fractions || (types & kIntegerType) != 0) add_number(parts, fractions, start, end);
  if ((types & kStringType) != 0) add_string(parts, words, start, end);
  if ((types & kArrayType) != 0) add_array(parts, start, end);
  if ((types & kObjectType) != 0) add_object(parts, start, end);
}

int64_t SchemaCompiler::largest(const SchemaParts& parts, std::string_view name,
                                int64_t otherwise) {
  for (const SchemaPart& part : parts)
    if (const json::value* value = keyword(*part.schema, name))
      otherwise = std::max(otherwise, count_of(*value));
  return otherwise;
}

int64_t SchemaCompiler::smallest(const SchemaParts& parts, std::string_view name,
                                 int64_t otherwise) {
  for (const SchemaPart& part : parts)
    if (const json::value* value = keyword(*part.schema, name))
      otherwise = std::min(otherwise, count_of(*value));
  return otherwise;
}

SchemaParts SchemaCompiler::item_parts(const SchemaParts& parts, int64_t index) {
  SchemaParts out;
  for (const SchemaPart& part : parts) {
    const ItemSchemas items = item_schemas(*part.schema);
    const bool in_prefix =
        items.prefix != nullptr && index < static_cast<int64_t>(items.prefix->size());
    if (in_prefix) {
      out.push_back({&(*items.prefix)[static_cast<size_t>(index)], 0});
    } else if (items.rest != nullptr) {
      out.push_back({items.rest, 0});
    }
  }
  return out;
}

void SchemaCompiler::add_array(const SchemaParts& parts, int32_t start, int32_t end) {
  constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();
  const int64_t min = largest(parts, "minItems", 0), max = smallest(parts, "maxItems", kNoEnd);
  int64_t prefix = 0;
  for (const SchemaPart& part : parts) {
    const ItemSchemas items = item_schemas(*part.schema);
    if (items.prefix != nullptr)
      prefix = std::max(prefix, static_cast<int64_t>(items.prefix->size()));
  }
  if (max < min) return;
  Nfa& nfa = grammar_.nfa();
  int32_t at = rules_.open(start, '[');
  if (min == 0) nfa.add_epsilon(grammar_.literal(at, "]"), end);
  // The first items one by one, and one more that all the others are like.
  const int64_t single = std::min(max, std::max<int64_t>(prefix, 1));
  for (int64_t i = 0; i < single; ++i) {
    if (i > 0) at = rules_.comma(at);
    at = grammar_.call(at, rule_for(item_parts(parts, i)));
    if (i + 1 >= min) nfa.add_epsilon(rules_.close(at, ']'), end);
  }
  if (max <= single) return;
  const int32_t more = grammar_.add_rule("item");
  const int32_t from = grammar_.state();
  grammar_.define(more, from,
                  grammar_.call(rules_.comma(from), rule_for(item_parts(parts, single))));
  const auto least = static_cast<int32_t>(std::max<int64_t>(1, min - single));
  const int32_t most =
      max == kNoEnd || max >= kMostCount ? kUnbounded : static_cast<int32_t>(max - single);
  const int32_t rest = grammar_.add_repeat("items", more, least, most);
  nfa.add_epsilon(rules_.close(grammar_.call(at, rest), ']'), end);
}

namespace {

void finish_notes(std::vector<std::string>* notes, SchemaDocument& document) {
  if (notes == nullptr) return;
  std::sort(document.notes.begin(), document.notes.end());
  document.notes.erase(std::unique(document.notes.begin(), document.notes.end()),
                       document.notes.end());
  notes->insert(notes->end(), document.notes.begin(), document.notes.end());
}

}  // namespace

int32_t add_json_schema(Grammar& grammar, JsonRules& rules, const json::value& schema,
                        const JsonSchemaOptions& options, std::string_view source,
                        std::vector<std::string>* notes, const json::value* part) {
  SchemaDocument document(schema, source);
  const int32_t rule =
      SchemaCompiler(grammar, rules, document, options).compile(part != nullptr ? *part : schema);
  finish_notes(notes, document);
  return rule;
}

Grammar json_schema_grammar(const json::value& schema, const JsonSchemaOptions& options,
                            std::vector<std::string>* notes) {
  Grammar grammar;
  JsonRules rules(grammar, options.spacing);
  grammar.set_root(add_json_schema(grammar, rules, schema, options, "JSON schema", notes));
  return grammar;
}

Grammar json_object_grammar(const JsonSchemaOptions& options) {
  Grammar grammar;
  JsonRules rules(grammar, options.spacing);
  grammar.set_root(rules.object());
  return grammar;
}

}  // namespace headgate
