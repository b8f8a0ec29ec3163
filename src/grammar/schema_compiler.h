// From schemas to rules: a rule for every set of schemas that must hold together.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grammar/character_sets.h"
#include "grammar/json_rules.h"
#include "grammar/json_schema.h"
#include "grammar/schema_document.h"

namespace headgate {

// A schema, some of whose keywords have been dealt with.
struct SchemaPart {
  enum Done : uint32_t { kReference = 1, kAll = 2, kAny = 4, kOne = 8 };
  const json::value* schema;
  uint32_t done = 0;
  friend auto operator<=>(const SchemaPart&, const SchemaPart&) = default;
};
// Schemas that must hold together; none: any value does.
using SchemaParts = std::vector<SchemaPart>;

// A bit for each JSON type; kFraction: numbers that are not whole.
enum JsonType : uint32_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kFractionType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
  kAllTypes = 127
};

class SchemaCompiler {
 public:
  SchemaCompiler(Grammar& grammar, JsonRules& rules, SchemaDocument& document,
                 const JsonSchemaOptions& options)
      : grammar_(grammar), rules_(rules), document_(document), options_(options) {}

  // The rule of one schema of the document.
  int32_t compile(const json::value& schema);

 private:
  struct Pending {
    int32_t rule;
    SchemaParts parts;
  };
  // An object under construction.
  struct ObjectPlan;

  // The rule of these schemas together, made later where it is new.
  int32_t rule_for(SchemaParts parts);
  void define(const Pending& pending);
  // Follows references and allOf; false where nothing can be valid.
  bool expand(SchemaParts& parts);
  // Branches of an anyOf or oneOf; false where there is none left.
  bool split(const SchemaParts& parts, int32_t start, int32_t end);
  void add_plain(const SchemaParts& parts, int32_t start, int32_t end);
  bool add_constants(const SchemaParts& parts, int32_t start, int32_t end);
  bool holds(const SchemaParts& parts, const json::value& value, const json::value* listed);

  uint32_t types_of(const SchemaParts& parts);
  uint32_t type_mask(const json::value& type, const json::value& schema);
  // Takes out what "not" forbids; words forbidden of strings go to `words`.
  uint32_t without_negated(const SchemaParts& parts, uint32_t types,
                           std::vector<std::string>& words);
  uint32_t without_constant(const json::value& schema, const json::value& constant, uint32_t types,
                            std::vector<std::string>& words);

  void add_number(const SchemaParts& parts, bool fractions, int32_t start, int32_t end);
  bool add_integer_range(const SchemaParts& parts, int32_t start, int32_t end);
  std::optional<DecimalBound> bound_of(const SchemaParts& parts, bool low);
  std::vector<Dfa> multiples_in(const SchemaParts& parts);
  void add_string(const SchemaParts& parts, const std::vector<std::string>& words, int32_t start,
                  int32_t end);
  // The set of strings of all patterns, formats and lengths; nothing: any string.
  std::optional<Dfa> string_set(const SchemaParts& parts, const std::vector<std::string>& words);
  void add_array(const SchemaParts& parts, int32_t start, int32_t end);
  SchemaParts item_parts(const SchemaParts& parts, int64_t index);

  void add_object(const SchemaParts& parts, int32_t start, int32_t end);
  ObjectPlan plan_object(const SchemaParts& parts);
  SchemaParts property_parts(const SchemaParts& parts, std::string_view name);
  std::vector<int32_t> extra_members(const SchemaParts& parts, const ObjectPlan& plan);
  std::optional<SchemaParts> extra_parts(const SchemaParts& parts,
                                         const std::vector<std::string>& patterns, uint32_t chosen);
  void check_least(const SchemaParts& parts, const ObjectPlan& plan, bool extras);
  void add_members(const ObjectPlan& plan, int32_t open, int32_t end);
  void end_members(const ObjectPlan& plan, int32_t at, bool any, int64_t count, int32_t end);

  // The greatest or least of a count over all parts.
  int64_t largest(const SchemaParts& parts, std::string_view name, int64_t otherwise);
  int64_t smallest(const SchemaParts& parts, std::string_view name, int64_t otherwise);

  Grammar& grammar_;
  JsonRules& rules_;
  SchemaDocument& document_;
  JsonSchemaOptions options_;
  std::map<SchemaParts, int32_t> known_;
  std::vector<Pending> pending_;
};

}  // namespace headgate
