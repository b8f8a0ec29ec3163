// Numbers as texts: ranges digit by digit, multiples by remainders.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "base/error.h"
#include "grammar/character_sets.h"

namespace headgate {
namespace {

constexpr int kSignificantDigits = 15;  // any decimal of so many survives a double

Expression digit(char low, char high) {
  return Expression::of_class(
      CodePointSet({{static_cast<char32_t>(low), static_cast<char32_t>(high)}}));
}
Expression digits(int32_t min, int32_t max) {
  return Expression::repeat(digit('0', '9'), min, max);
}
Expression text(std::string_view s) { return Expression::literal_utf8(s); }

// Digit strings of the length of `low` from it to `high` (equal lengths).
Expression same_length(std::string_view low, std::string_view high) {
  if (low.empty()) return Expression::empty();
  const bool all = low.find_first_not_of('0') == std::string_view::npos &&
                   high.find_first_not_of('9') == std::string_view::npos;
  if (all) {
    const auto count = static_cast<int32_t>(low.size());
    return digits(count, count);
  }
  if (low[0] == high[0])
    return Expression::sequence(
        {text(low.substr(0, 1)), same_length(low.substr(1), high.substr(1))});
  const auto rest = static_cast<int32_t>(low.size()) - 1;
  const std::string nines(static_cast<size_t>(rest), '9'), zeros(static_cast<size_t>(rest), '0');
  std::vector<Expression> choices;
  choices.push_back(
      Expression::sequence({text(low.substr(0, 1)), same_length(low.substr(1), nines)}));
  if (low[0] + 1 < high[0]) {
    choices.push_back(
        Expression::sequence({digit(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)),
                              digits(rest, rest)}));
  }
  choices.push_back(
      Expression::sequence({text(high.substr(0, 1)), same_length(zeros, high.substr(1))}));
  return Expression::choice(std::move(choices));
}

// 0 <= low <= high.
Expression magnitudes(uint64_t low, uint64_t high) {
  std::vector<Expression> choices;
  const std::string first = std::to_string(low), last = std::to_string(high);
  for (size_t length = first.size(); length <= last.size(); ++length) {
    const std::string from = length == first.size() ? first : "1" + std::string(length - 1, '0');
    const std::string to = length == last.size() ? last : std::string(length, '9');
    choices.push_back(same_length(from, to));
  }
  return Expression::choice(std::move(choices));
}

// A non-negative decimal: whole part and fraction digits without trailing zeros.
struct Magnitude {
  uint64_t whole = 0;
  std::string fraction;
  bool exclusive = false;
};

// Digits behind the point that are at most / at least `f`, from its i-th digit on; `left` more
// digits may be written.
Expression fraction_up_to(const std::string& f, size_t i, bool exclusive, int32_t left) {
  if (i == f.size())
    return exclusive ? Expression::of_class({}) : Expression::repeat(digit('0', '0'), 0, left);
  std::vector<Expression> choices{Expression::empty()};
  if (left > 0) {
    if (f[i] > '0') {
      choices.push_back(
          Expression::sequence({digit('0', static_cast<char>(f[i] - 1)), digits(0, left - 1)}));
    }
    choices.push_back(
        Expression::sequence({digit(f[i], f[i]), fraction_up_to(f, i + 1, exclusive, left - 1)}));
  }
  return Expression::choice(std::move(choices));
}

Expression fraction_from(const std::string& f, size_t i, bool exclusive, int32_t left) {
  if (i == f.size()) {
    if (!exclusive) return digits(0, left);
    if (left <= 0) return Expression::of_class({});
    return Expression::sequence(
        {Expression::repeat(digit('0', '0'), 0, left - 1), digit('1', '9'), digits(0, left - 1)});
  }
  if (left <= 0) return Expression::of_class({});
  std::vector<Expression> choices;
  if (f[i] < '9') {
    choices.push_back(
        Expression::sequence({digit(static_cast<char>(f[i] + 1), '9'), digits(0, left - 1)}));
  }
  choices.push_back(
      Expression::sequence({digit(f[i], f[i]), fraction_from(f, i + 1, exclusive, left - 1)}));
  return Expression::choice(std::move(choices));
}

Expression with_point(Expression fraction) {
  return Expression::sequence({text("."), std::move(fraction)});
}

// Non-negative decimals from `low` to `high`.
Dfa magnitude_set(const Magnitude& low, const Magnitude& high, WorkBudget& budget) {
  const auto whole_digits = static_cast<int32_t>(std::to_string(high.whole).size());
  const int32_t most =
      std::max({1, kSignificantDigits - whole_digits,
                static_cast<int32_t>(low.fraction.size()) + (low.exclusive ? 1 : 0),
                static_cast<int32_t>(high.fraction.size())});
  const auto any_fraction = [&] {
    return Expression::repeat(Expression::sequence({text("."), digits(1, most)}), 0, 1);
  };
  const auto at_most = [&] {
    std::vector<Expression> choices;
    if (high.whole > 0)
      choices.push_back(Expression::sequence({magnitudes(0, high.whole - 1), any_fraction()}));
    if (!high.fraction.empty() || !high.exclusive)
      choices.push_back(magnitudes(high.whole, high.whole));
    choices.push_back(
        Expression::sequence({magnitudes(high.whole, high.whole),
                              with_point(fraction_up_to(high.fraction, 0, high.exclusive, most))}));
    return Expression::choice(std::move(choices));
  };
  const auto at_least = [&] {
    std::vector<Expression> choices;
    if (high.whole > low.whole)
      choices.push_back(
          Expression::sequence({magnitudes(low.whole + 1, high.whole), any_fraction()}));
    if (low.fraction.empty() && !low.exclusive) choices.push_back(magnitudes(low.whole, low.whole));
    choices.push_back(
        Expression::sequence({magnitudes(low.whole, low.whole),
                              with_point(fraction_from(low.fraction, 0, low.exclusive, most))}));
    return Expression::choice(std::move(choices));
  };
  // A point without a digit behind it comes from both; the form takes it away.
  const Expression form = Expression::sequence({magnitudes(0, high.whole), any_fraction()});
  const Dfa both =
      intersect(character_dfa(at_most(), budget), character_dfa(at_least(), budget), budget);
  return intersect(both, character_dfa(form, budget), budget);
}

Magnitude magnitude_of(std::string_view plain, bool exclusive) {
  if (!plain.empty() && plain[0] == '-') plain.remove_prefix(1);
  const size_t point = plain.find('.');
  Magnitude out;
  const std::string_view whole = plain.substr(0, point);
  const auto read = std::from_chars(whole.data(), whole.data() + whole.size(), out.whole);
  if (read.ec != std::errc() || out.whole > 999'999'999'999'999'999u) {
    fail(ErrorCode::kInvalidArgument, "a bound of {}: expected less than 10^18", plain);
  }
  if (point != std::string_view::npos) out.fraction = plain.substr(point + 1);
  while (!out.fraction.empty() && out.fraction.back() == '0') out.fraction.pop_back();
  if (out.fraction.size() > 30) out.fraction.resize(30);
  out.exclusive = exclusive;
  return out;
}

bool is_negative(const std::string& plain) { return plain[0] == '-'; }
bool is_zero(const Magnitude& m) { return m.whole == 0 && m.fraction.empty(); }

bool ordered(const Magnitude& low, const Magnitude& high) {
  if (low.whole != high.whole) return low.whole < high.whole;
  const int compared = low.fraction.compare(high.fraction);
  return compared < 0 || (compared == 0 && !low.exclusive && !high.exclusive);
}

// Either of two sets, the second behind a minus sign.
Dfa with_negatives(const std::optional<Dfa>& plain, const std::optional<Dfa>& negative,
                   WorkBudget& budget) {
  Nfa nfa;
  const int32_t start = nfa.new_state(), end = nfa.new_state();
  const auto add = [&](const Dfa& dfa, int32_t from) {
    std::vector<int32_t> states;
    for (size_t i = 0; i < dfa.states.size(); ++i) states.push_back(nfa.new_state());
    nfa.add_epsilon(from, states[0]);
    for (size_t i = 0; i < dfa.states.size(); ++i) {
      for (const Dfa::Range& range : dfa.states[i].ranges)
        nfa.add_range(states[i], range.low, range.high, states[static_cast<size_t>(range.target)]);
      if (dfa.states[i].accepting) nfa.add_epsilon(states[i], end);
    }
  };
  if (plain) add(*plain, start);
  if (negative) add(*negative, nfa.add_literal(start, "-"));
  return determinize(nfa, start, end, budget, -kMostCharacterStates);
}

}  // namespace

Expression integer_between(int64_t low, int64_t high) {
  std::vector<Expression> choices;
  if (low < 0) {
    const uint64_t most = uint64_t{0} - static_cast<uint64_t>(low);
    const uint64_t least = high < 0 ? uint64_t{0} - static_cast<uint64_t>(high) : 1;
    if (least <= most)
      choices.push_back(Expression::sequence({text("-"), magnitudes(least, most)}));
  }
  if (high >= 0 && low <= high) {
    choices.push_back(
        magnitudes(low > 0 ? static_cast<uint64_t>(low) : 0, static_cast<uint64_t>(high)));
  }
  if (choices.empty()) choices.push_back(Expression::of_class({}));
  return Expression::choice(std::move(choices));
}

Dfa decimals_between(const std::optional<DecimalBound>& low,
                     const std::optional<DecimalBound>& high, WorkBudget& budget) {
  const auto open_end = [](const std::optional<Magnitude>& other) {
    // Unbounded: below 10^9, or a thousand times the other bound.
    Magnitude far;
    far.whole = 999'999'999u;
    if (other && other->whole > 999'999u) {
      const bool near_end = other->whole > 999'999'999'999'999u;
      far.whole = near_end ? 999'999'999'999'999'999u : (other->whole + 1) * 1000 - 1;
    }
    return far;
  };
  std::optional<Dfa> plain, negative;
  if (!high || !is_negative(high->digits)) {
    const Magnitude from =
        low && !is_negative(low->digits) ? magnitude_of(low->digits, low->exclusive) : Magnitude{};
    const Magnitude to = high ? magnitude_of(high->digits, high->exclusive) : open_end(from);
    if (ordered(from, to)) plain = magnitude_set(from, to, budget);
  }
  if (!low || is_negative(low->digits)) {
    Magnitude from = high && is_negative(high->digits) ? magnitude_of(high->digits, high->exclusive)
                                                       : Magnitude{};
    if (is_zero(from)) from.exclusive = true;  // zero is written without a sign
    const Magnitude to = low ? magnitude_of(low->digits, low->exclusive) : open_end(from);
    if (ordered(from, to)) negative = magnitude_set(from, to, budget);
  }
  return with_negatives(plain, negative, budget);
}

Dfa multiples_of(int64_t numerator, int32_t decimals) {
  HEADGATE_CHECK(numerator > 0 && numerator <= kMostModulus && decimals >= 0);
  // A state: sign or not, digits behind the point (-1: before it), remainder of the digits so far.
  struct Place {
    int phase;  // 0 start, 1 behind the sign, 2 a leading zero, 3 whole, 4 behind the point
    int32_t behind;
    int64_t remainder;
    auto operator<=>(const Place&) const = default;
  };
  std::map<Place, int32_t> ids;
  std::vector<Place> places;
  Dfa out;
  const auto id_of = [&](const Place& place) {
    const auto [found, is_new] = ids.emplace(place, static_cast<int32_t>(places.size()));
    if (is_new) {
      places.push_back(place);
      out.states.emplace_back();
    }
    return found->second;
  };
  id_of({0, 0, 0});
  for (size_t at = 0; at < places.size(); ++at) {
    const Place here = places[at];
    Dfa::State state;
    int64_t whole = here.remainder;
    for (int32_t i = here.behind; i < decimals; ++i) whole = whole * 10 % numerator;
    state.accepting = here.phase >= 2 && whole == 0 && (here.phase != 4 || here.behind > 0);
    if (here.phase == 0) state.ranges.push_back({'-', '-', id_of({1, 0, 0})});
    if ((here.phase == 2 || here.phase == 3) && decimals > 0)
      state.ranges.push_back({'.', '.', id_of({4, 0, here.remainder})});
    const bool more = here.phase == 4 ? here.behind < decimals : here.phase != 2;
    for (uint32_t d = 0; more && d <= 9; ++d) {
      const int phase = here.phase == 4 ? 4 : here.phase <= 1 && d == 0 ? 2 : 3;
      const int32_t behind = here.phase == 4 ? here.behind + 1 : 0;
      const int64_t remainder = (here.remainder * 10 + d) % numerator;
      state.ranges.push_back({'0' + d, '0' + d, id_of({phase, behind, remainder})});
    }
    out.states[at] = std::move(state);
  }
  return out;
}

std::string plain_decimal(double number) {
  char buffer[400];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed).ptr;
  std::string out(buffer, end);
  if (out.find('.') != std::string::npos) {
    while (out.back() == '0') out.pop_back();
    if (out.back() == '.') out.pop_back();
  }
  return out == "-0" ? "0" : out;
}

}  // namespace headgate
