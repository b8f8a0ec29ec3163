// Sets of strings as automata over code points: and, not, lengths, words; and numbers as texts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "grammar/expression.h"

namespace headgate {

// All operations throw kInvalidArgument where a result needs more than kMostCharacterStates.
bool contains_text(const Dfa& set, std::string_view text);
bool is_empty_set(const Dfa& set);
Dfa intersect(const Dfa& a, const Dfa& b, WorkBudget& budget);
Dfa complement(const Dfa& set);
// Strings of `min` to `max` code points (kUnbounded).
Dfa length_set(int32_t min, int32_t max);
Dfa word_set(std::span<const std::string> words, WorkBudget& budget);

// A bound of a number. `digits` is a plain decimal: "-12.5".
struct DecimalBound {
  std::string digits;
  bool exclusive = false;
};

// Whole numbers in their shortest form between the bounds, both included.
Expression integer_between(int64_t low, int64_t high);
// Decimal numbers without exponent between the bounds. Fractions are as long as keeps 15 digits
// altogether, so that reading a number as a double cannot carry it over an exclusive bound.
Dfa decimals_between(const std::optional<DecimalBound>& low,
                     const std::optional<DecimalBound>& high, WorkBudget& budget);
// Decimal numbers that are multiples of numerator / 10^decimals. numerator <= kMostModulus.
constexpr int64_t kMostModulus = 2000;
Dfa multiples_of(int64_t numerator, int32_t decimals);
// The plain decimal spelling of a number: no exponent, no trailing zeros.
std::string plain_decimal(double number);

}  // namespace headgate
