// Products, complements, and simple sets of strings.
#include "grammar/character_sets.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/utf8.h"

namespace headgate {
namespace {

const Dfa::Range* find_range(const Dfa::State& state, char32_t c) {
  for (const Dfa::Range& range : state.ranges) {
    if (range.low <= c && c <= range.high) return &range;
  }
  return nullptr;
}

}  // namespace

bool contains_text(const Dfa& set, std::string_view text) {
  size_t state = 0;
  for (size_t at = 0; at < text.size();) {
    const DecodedCodePoint decoded = decode_utf8(text, at);
    at += static_cast<size_t>(decoded.bytes);
    const Dfa::Range* range = find_range(set.states[state], decoded.code_point);
    if (range == nullptr) return false;
    state = static_cast<size_t>(range->target);
  }
  return set.states[state].accepting;
}

bool is_empty_set(const Dfa& set) {
  std::vector<bool> seen(set.states.size());
  std::vector<size_t> open{0};
  seen[0] = true;
  while (!open.empty()) {
    const Dfa::State& state = set.states[open.back()];
    open.pop_back();
    if (state.accepting) return false;
    for (const Dfa::Range& range : state.ranges) {
      const auto target = static_cast<size_t>(range.target);
      if (!seen[target]) open.push_back(target);
      seen[target] = true;
    }
  }
  return true;
}

Dfa intersect(const Dfa& a, const Dfa& b, WorkBudget& budget) {
  Dfa out;
  std::map<std::pair<int32_t, int32_t>, int32_t> ids;
  std::vector<std::pair<int32_t, int32_t>> pairs;
  const auto id_of = [&](int32_t i, int32_t j) {
    const auto [found, is_new] = ids.emplace(std::pair(i, j), static_cast<int32_t>(pairs.size()));
    if (is_new) {
      pairs.emplace_back(i, j);
      out.states.emplace_back();
      if (static_cast<int64_t>(pairs.size()) > kMostCharacterStates) {
        fail(ErrorCode::kInvalidArgument, "patterns and lengths together need more than {} states",
             kMostCharacterStates);
      }
    }
    return found->second;
  };
  id_of(0, 0);
  for (size_t at = 0; at < pairs.size(); ++at) {
    const Dfa::State& x = a.states[static_cast<size_t>(pairs[at].first)];
    const Dfa::State& y = b.states[static_cast<size_t>(pairs[at].second)];
    std::vector<Dfa::Range> ranges;
    size_t i = 0, j = 0;
    while (i < x.ranges.size() && j < y.ranges.size()) {
      budget.spend(2);
      const uint32_t low = std::max(x.ranges[i].low, y.ranges[j].low);
      const uint32_t high = std::min(x.ranges[i].high, y.ranges[j].high);
      if (low <= high) ranges.push_back({low, high, id_of(x.ranges[i].target, y.ranges[j].target)});
      if (x.ranges[i].high < y.ranges[j].high) {
        ++i;
      } else {
        ++j;
      }
    }
    out.states[at].ranges = std::move(ranges);
    out.states[at].accepting = x.accepting && y.accepting;
  }
  return out;
}

Dfa complement(const Dfa& set) {
  Dfa out;
  const auto sink = static_cast<int32_t>(set.states.size());
  for (const Dfa::State& state : set.states) {
    Dfa::State made;
    made.accepting = !state.accepting;
    uint32_t next = 0;
    for (const Dfa::Range& range : state.ranges) {
      if (range.low > next) made.ranges.push_back({next, range.low - 1, sink});
      made.ranges.push_back(range);
      next = range.high + 1;
    }
    if (next <= kLastCodePoint) made.ranges.push_back({next, kLastCodePoint, sink});
    out.states.push_back(std::move(made));
  }
  Dfa::State everything;
  everything.accepting = true;
  everything.ranges.push_back({0, kLastCodePoint, sink});
  out.states.push_back(std::move(everything));
  return out;
}

Dfa length_set(int32_t min, int32_t max) {
  const int32_t states = max == kUnbounded ? min : max;
  if (states > kMostCharacterStates) {
    fail(ErrorCode::kInvalidArgument,
         "a length of {} together with a pattern or format, expected "
         "at most {}",
         states, kMostCharacterStates);
  }
  Dfa out;
  for (int32_t length = 0; length <= states; ++length) {
    Dfa::State state;
    state.accepting = length >= min;
    if (length < states) state.ranges.push_back({0, kLastCodePoint, length + 1});
    if (length == states && max == kUnbounded) state.ranges.push_back({0, kLastCodePoint, length});
    out.states.push_back(std::move(state));
  }
  return out;
}

Dfa word_set(std::span<const std::string> words, WorkBudget& budget) {
  std::vector<Expression> choices;
  for (const std::string& word : words) choices.push_back(Expression::literal_utf8(word));
  if (choices.empty()) choices.push_back(Expression::of_class({}));
  return character_dfa(Expression::choice(std::move(choices)), budget);
}

}  // namespace headgate
