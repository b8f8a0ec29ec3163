// Objects of schemas: named properties in order, then those that patterns or nothing names.
#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "base/error.h"
#include "grammar/schema_compiler.h"

namespace headgate {

struct SchemaCompiler::ObjectPlan {
  struct Property {
    std::string name;
    int32_t rule;
    bool required;
    uint32_t bit = 0;  // where dependentRequired speaks of it
  };
  std::vector<Property> properties;
  std::vector<int32_t> extras;                           // rules of a member each
  std::vector<std::pair<uint32_t, uint32_t>> dependent;  // (if any of these bits, all of those)
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
  bool counted = false;  // min or max can be missed
};

SchemaParts SchemaCompiler::property_parts(const SchemaParts& parts, std::string_view name) {
  SchemaParts out;
  for (const SchemaPart& part : parts) {
    bool known = false;
    const json::object* properties = object_keyword(*part.schema, "properties");
    if (const json::value* own = properties != nullptr ? properties->if_contains(name) : nullptr) {
      out.push_back({own, 0});
      known = true;
    }
    if (const json::object* patterns = object_keyword(*part.schema, "patternProperties")) {
      for (const auto& entry : *patterns) {
        if (!contains_text(document_.pattern(entry.key()), name)) continue;
        out.push_back({&entry.value(), 0});
        known = true;
      }
    }
    const json::value* others = other_properties(*part.schema);
    if (!known && others != nullptr) out.push_back({others, 0});
  }
  return out;
}

SchemaCompiler::ObjectPlan SchemaCompiler::plan_object(const SchemaParts& parts) {
  ObjectPlan plan;
  std::map<std::string, size_t, std::less<>> index;
  const auto add = [&](std::string_view name) -> ObjectPlan::Property& {
    const auto [found, is_new] = index.emplace(name, plan.properties.size());
    if (is_new) plan.properties.push_back({std::string(name), -1, false, 0});
    return plan.properties[found->second];
  };
  for (const SchemaPart& part : parts)
    if (const json::object* properties = object_keyword(*part.schema, "properties"))
      for (const auto& entry : *properties) add(entry.key());
  for (const SchemaPart& part : parts)
    if (const json::array* required = array_keyword(*part.schema, "required"))
      for (const json::value& name : *required) add(view_of(name.get_string())).required = true;
  uint32_t bits = 0;
  const auto bit_of = [&](std::string_view name, const json::value& schema) {
    ObjectPlan::Property& property = add(name);
    if (property.bit != 0) return property.bit;
    if (bits >= 10) document_.refuse(schema, "dependentRequired", "more than 10 names take part");
    return property.bit = uint32_t{1} << bits++;
  };
  for (const SchemaPart& part : parts) {
    for (const char* by : {"dependentRequired", "dependencies"}) {
      const json::object* wanted = object_keyword(*part.schema, by);
      if (wanted == nullptr) continue;
      for (const auto& entry : *wanted) {
        uint32_t needed = 0;
        for (const json::value& name : entry.value().get_array())
          needed |= bit_of(view_of(name.get_string()), *part.schema);
        if (needed != 0) plan.dependent.emplace_back(bit_of(entry.key(), *part.schema), needed);
      }
    }
  }
  for (ObjectPlan::Property& property : plan.properties) {
    property.rule = rule_for(property_parts(parts, property.name));
    const json::value name{json::string(property.name)};
    const bool allowed = std::all_of(parts.begin(), parts.end(), [&](const SchemaPart& part) {
      const json::value* names = keyword(*part.schema, "propertyNames");
      return names == nullptr || is_valid(document_, *names, name);
    });
    if (allowed) continue;
    property.rule = grammar_.add_rule(property.name);  // a rule without a text
    const int32_t start = grammar_.state(), end = grammar_.state();
    grammar_.define(property.rule, start, end);
  }
  return plan;
}

// The schemas of a property whose name fits the `chosen` patterns and is not declared; nothing
// where there must be none.
std::optional<SchemaParts> SchemaCompiler::extra_parts(const SchemaParts& parts,
                                                       const std::vector<std::string>& patterns,
                                                       uint32_t chosen) {
  SchemaParts out;
  bool closed = false;
  for (const SchemaPart& part : parts) {
    bool known = false;
    if (const json::object* own = object_keyword(*part.schema, "patternProperties")) {
      for (size_t i = 0; i < patterns.size(); ++i) {
        const json::value* schema = own->if_contains(patterns[i]);
        if (schema == nullptr || (chosen >> i & 1) == 0) continue;
        out.push_back({schema, 0});
        known = true;
      }
    }
    const json::value* others = other_properties(*part.schema);
    if (!known && others != nullptr) out.push_back({others, 0});
    // Says nothing of other names, but lists some.
    const bool lists = keyword(*part.schema, "properties") != nullptr ||
                       keyword(*part.schema, "required") != nullptr ||
                       keyword(*part.schema, "patternProperties") != nullptr;
    if (!known && others == nullptr && lists && !options_.unnamed_properties) closed = true;
  }
  for (const SchemaPart& part : out)
    if (part.schema->is_bool() && !part.schema->get_bool()) return std::nullopt;
  // Named nowhere: left out, unless a schema speaks of such names.
  if (closed && out.empty()) return std::nullopt;
  return out;
}

std::vector<int32_t> SchemaCompiler::extra_members(const SchemaParts& parts,
                                                   const ObjectPlan& plan) {
  std::vector<std::string> patterns;
  std::optional<Dfa> names;
  for (const SchemaPart& part : parts) {
    if (const json::object* own = object_keyword(*part.schema, "patternProperties"))
      for (const auto& entry : *own) patterns.emplace_back(entry.key());
    const json::value* rule = keyword(*part.schema, "propertyNames");
    if (rule == nullptr) continue;
    for (const char* name : {"$ref", "allOf", "anyOf", "oneOf", "not", "enum", "const"})
      if (keyword(*rule, name) != nullptr)
        document_.refuse(*part.schema, "propertyNames",
                         "only patterns, formats and lengths are "
                         "supported for names that are not declared");
    if (rule->is_bool()) {
      if (!rule->get_bool()) return {};
      continue;
    }
    const SchemaParts name_parts{{rule, 0}};
    constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();
    const int64_t longest = smallest(name_parts, "maxLength", kNoEnd);
    Dfa set = length_set(static_cast<int32_t>(largest(name_parts, "minLength", 0)),
                         longest == kNoEnd ? kUnbounded : static_cast<int32_t>(longest));
    if (const std::optional<Dfa> more = string_set(name_parts, {}))
      set = intersect(set, *more, document_.budget());
    names = names ? intersect(*names, set, document_.budget()) : set;
  }
  std::sort(patterns.begin(), patterns.end());
  patterns.erase(std::unique(patterns.begin(), patterns.end()), patterns.end());
  if (patterns.size() > 5)
    document_.refuse(*parts[0].schema, "patternProperties", "more than 5 patterns");
  std::vector<std::string> declared;
  for (const ObjectPlan::Property& property : plan.properties) declared.push_back(property.name);
  if (!declared.empty()) {
    Dfa others = complement(word_set(declared, document_.budget()));
    names = names ? intersect(*names, others, document_.budget()) : std::move(others);
  }
  std::vector<int32_t> out;
  for (uint32_t chosen = 0; chosen < uint32_t{1} << patterns.size(); ++chosen) {
    const std::optional<SchemaParts> members = extra_parts(parts, patterns, chosen);
    if (!members) continue;
    std::optional<Dfa> keys = names;
    for (size_t i = 0; i < patterns.size(); ++i) {
      const Dfa& pattern = document_.pattern(patterns[i]);
      const Dfa side = (chosen >> i & 1) != 0 ? pattern : complement(pattern);
      keys = keys ? intersect(*keys, side, document_.budget()) : side;
    }
    if (keys && is_empty_set(*keys)) continue;
    const int32_t rule = grammar_.add_rule("property");
    const int32_t start = grammar_.state();
    const int32_t key =
        keys ? rules_.string_of(start, *keys) : grammar_.call(start, rules_.string());
    grammar_.define(rule, start, grammar_.call(rules_.colon(key), rule_for(*members)));
    out.push_back(rule);
  }
  return out;
}

// Properties that nothing names might be given twice: they cannot make up a least number.
void SchemaCompiler::check_least(const SchemaParts& parts, const ObjectPlan& plan, bool extras) {
  const auto declared = static_cast<int64_t>(plan.properties.size());
  if (extras && plan.min > declared + 1) {
    document_.refuse(*parts[0].schema, "minProperties",
                     fmt::format("found {}, expected at most {}: no grammar can keep the names of "
                                 "further properties apart",
                                 plan.min, declared + 1));
  }
}

void SchemaCompiler::add_object(const SchemaParts& parts, int32_t start, int32_t end) {
  ObjectPlan plan = plan_object(parts);
  plan.extras = extra_members(parts, plan);
  plan.min = largest(parts, "minProperties", 0);
  plan.max = smallest(parts, "maxProperties", plan.max);
  check_least(parts, plan, !plan.extras.empty());
  const auto required = std::count_if(plan.properties.begin(), plan.properties.end(),
                                      [](const auto& property) { return property.required; });
  const bool reaches_max =
      !plan.extras.empty() || static_cast<int64_t>(plan.properties.size()) > plan.max;
  const bool has_max = plan.max < 1'000'000;
  plan.counted = plan.min > required || (has_max && reaches_max);
  if (plan.counted && (plan.min > 2000 || (has_max && plan.max > 2000)))
    document_.refuse(*parts[0].schema, "", "counts of properties above 2000 are not supported");
  add_members(plan, rules_.open(start, '{'), end);
}

void SchemaCompiler::add_members(const ObjectPlan& plan, int32_t open, int32_t end) {
  Nfa& nfa = grammar_.nfa();
  // What matters of the properties so far: was there one, how many, which of those in question.
  using Place = std::tuple<bool, int64_t, uint32_t>;
  std::map<Place, int32_t> at{{Place(false, 0, 0), open}};
  for (const ObjectPlan::Property& property : plan.properties) {
    std::map<Place, int32_t> next;
    const auto state_of = [&](const Place& place) {
      const auto [found, is_new] = next.emplace(place, -1);
      if (is_new) found->second = grammar_.state();
      return found->second;
    };
    for (const auto& [place, state] : at) {
      document_.budget().spend(20);
      const auto [any, count, bits] = place;
      if (!property.required) nfa.add_epsilon(state, state_of(place));
      if (plan.counted && count + 1 > plan.max) continue;
      const int32_t begin = any ? rules_.comma(state) : state;
      const int32_t value = rules_.colon(rules_.constant(begin, json::string(property.name)));
      nfa.add_call(value, property.rule,
                   state_of({true, plan.counted ? count + 1 : 0, bits | property.bit}));
    }
    at = std::move(next);
  }
  for (const auto& [place, state] : at) {
    const auto [any, count, bits] = place;
    const bool holds =
        std::all_of(plan.dependent.begin(), plan.dependent.end(), [b = bits](const auto& rule) {
          return (b & rule.first) == 0 || (b & rule.second) == rule.second;
        });
    if (holds) end_members(plan, state, any, count, end);
  }
}

// Further properties, as many as fit, and the end.
void SchemaCompiler::end_members(const ObjectPlan& plan, int32_t at, bool any, int64_t count,
                                 int32_t end) {
  Nfa& nfa = grammar_.nfa();
  const auto close = [&](int32_t from, bool empty) {
    nfa.add_epsilon(empty ? grammar_.literal(from, "}") : rules_.close(from, '}'), end);
  };
  if (!plan.counted || count >= plan.min) close(at, !any);
  const int64_t left = plan.counted ? plan.max - count : kUnbounded;
  if (plan.extras.empty() || left == 0 || (plan.counted && count + 1 < plan.min)) return;
  const int32_t begin = any ? rules_.comma(at) : at;
  const int32_t behind = grammar_.state();
  for (const int32_t rule : plan.extras) nfa.add_call(begin, rule, behind);
  close(behind, false);
  if (left == 1) return;
  const int32_t more = grammar_.add_rule("properties");
  const int32_t from = grammar_.state(), to = grammar_.state();
  const int32_t member = rules_.comma(from);
  for (const int32_t rule : plan.extras) nfa.add_call(member, rule, to);
  grammar_.define(more, from, to);
  const int32_t most = left > 1'000'000 || left < 0 ? kUnbounded : static_cast<int32_t>(left - 1);
  const int32_t rest = grammar_.add_repeat("more-properties", more, 1, most);
  close(grammar_.call(behind, rest), false);
}

}  // namespace headgate
