// Numbers and strings of schemas.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "grammar/schema_compiler.h"

namespace headgate {
namespace {

constexpr int64_t kLargest = 999'999'999'999'999;  // 15 digits: whole in any double

std::string plain_number(const json::value& value) {
  if (value.is_int64()) return std::to_string(value.get_int64());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  return plain_decimal(value.get_double());
}

bool flag(const json::value& schema, std::string_view name) {
  const json::value* value = keyword(schema, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

}  // namespace

std::optional<DecimalBound> SchemaCompiler::bound_of(const SchemaParts& parts, bool low) {
  std::optional<DecimalBound> best;
  double value = 0;
  const auto consider = [&](const json::value& bound, bool exclusive) {
    const double number = bound.to_number<double>();
    const bool tighter =
        !best || (low ? number > value : number < value) || (number == value && exclusive);
    if (!tighter) return;
    best = DecimalBound{plain_number(bound), exclusive};
    value = number;
  };
  for (const SchemaPart& part : parts) {
    const char* plain = low ? "minimum" : "maximum";
    const char* strict = low ? "exclusiveMinimum" : "exclusiveMaximum";
    if (const json::value* bound = keyword(*part.schema, plain))
      consider(*bound, flag(*part.schema, strict));
    const json::value* bound = keyword(*part.schema, strict);
    if (bound != nullptr && bound->is_number()) consider(*bound, true);
  }
  return best;
}

std::vector<Dfa> SchemaCompiler::multiples_in(const SchemaParts& parts) {
  std::vector<Dfa> out;
  for (const SchemaPart& part : parts) {
    const json::value* step = keyword(*part.schema, "multipleOf");
    if (step == nullptr) continue;
    const std::string plain = plain_number(*step);
    const size_t point = plain.find('.');
    const size_t decimals = point == std::string::npos ? 0 : plain.size() - point - 1;
    std::string digits = plain;
    if (point != std::string::npos) digits.erase(point, 1);
    const bool fits = digits.size() <= 12 && decimals <= 10;
    const int64_t numerator = fits ? std::stoll(digits) : 0;
    if (!fits || numerator > kMostModulus) {
      document_.refuse(*part.schema, "multipleOf",
                       fmt::format("found {}, expected at most {} after removing the point", plain,
                                   kMostModulus));
    }
    out.push_back(multiples_of(numerator, static_cast<int32_t>(decimals)));
  }
  return out;
}

bool SchemaCompiler::add_integer_range(const SchemaParts& parts, int32_t start, int32_t end) {
  const auto limit = [&](bool low) {
    const std::optional<DecimalBound> bound = bound_of(parts, low);
    if (!bound) return low ? -kLargest : kLargest;
    const double value = std::stod(bound->digits);
    if (std::fabs(value) > 9e17) {
      if (low == (value < 0)) return low ? -kLargest : kLargest;
      document_.refuse(*parts[0].schema, low ? "minimum" : "maximum",
                       "a bound beyond 9 * 10^17 is not supported");
    }
    const bool whole = bound->digits.find('.') == std::string::npos;
    int64_t number = whole ? std::stoll(bound->digits)
                           : static_cast<int64_t>(low ? std::ceil(value) : std::floor(value));
    if (whole && bound->exclusive) number += low ? 1 : -1;
    return number;
  };
  int64_t low = limit(true), high = limit(false);
  // A far bound on one side moves the default of the other.
  if (low > kLargest && !bound_of(parts, false)) high = std::numeric_limits<int64_t>::max() / 2;
  if (high < -kLargest && !bound_of(parts, true)) low = std::numeric_limits<int64_t>::min() / 2;
  if (low > high) return false;
  Dfa set = character_dfa(integer_between(low, high), document_.budget());
  for (const Dfa& multiples : multiples_in(parts))
    set = intersect(set, multiples, document_.budget());
  grammar_.copy(start, set, end);
  return true;
}

void SchemaCompiler::add_number(const SchemaParts& parts, bool fractions, int32_t start,
                                int32_t end) {
  const std::optional<DecimalBound> low = bound_of(parts, true), high = bound_of(parts, false);
  const bool steps = std::any_of(parts.begin(), parts.end(), [](const SchemaPart& part) {
    return keyword(*part.schema, "multipleOf") != nullptr;
  });
  if (!low && !high && !steps) {
    grammar_.nfa().add_call(start, fractions ? rules_.number() : rules_.integer(), end);
    return;
  }
  if (!fractions) {
    add_integer_range(parts, start, end);
    return;
  }
  Dfa set = decimals_between(low, high, document_.budget());
  for (const Dfa& multiples : multiples_in(parts))
    set = intersect(set, multiples, document_.budget());
  grammar_.copy(start, set, end);
}

std::optional<Dfa> SchemaCompiler::string_set(const SchemaParts& parts,
                                              const std::vector<std::string>& words) {
  std::optional<Dfa> set;
  const auto add = [&](const Dfa& more) {
    set = set ? intersect(*set, more, document_.budget()) : more;
  };
  for (const SchemaPart& part : parts) {
    if (const json::value* pattern = keyword(*part.schema, "pattern"))
      add(document_.pattern(view_of(pattern->get_string())));
    if (const json::value* name = keyword(*part.schema, "format")) {
      if (const Dfa* format = document_.format(view_of(name->get_string()))) add(*format);
    }
  }
  if (!words.empty()) add(complement(word_set(words, document_.budget())));
  return set;
}

void SchemaCompiler::add_string(const SchemaParts& parts, const std::vector<std::string>& words,
                                int32_t start, int32_t end) {
  constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();
  const auto min = static_cast<int32_t>(largest(parts, "minLength", 0));
  const int64_t most = smallest(parts, "maxLength", kNoEnd);
  if (most < min) return;
  const int32_t max = most == kNoEnd ? kUnbounded : static_cast<int32_t>(most);
  const bool counted = min > 0 || max != kUnbounded;
  std::optional<Dfa> set = string_set(parts, words);
  Nfa& nfa = grammar_.nfa();
  if (set) {
    if (counted) set = intersect(*set, length_set(min, max), document_.budget());
    nfa.add_epsilon(rules_.string_of(start, *set), end);
  } else if (!counted) {
    nfa.add_call(start, rules_.string(), end);
  } else {
    const int32_t repeat = grammar_.add_repeat("characters", rules_.character(), min, max);
    const int32_t inside = grammar_.call(grammar_.literal(start, "\""), repeat);
    nfa.add_epsilon(grammar_.literal(inside, "\""), end);
  }
}

}  // namespace headgate
