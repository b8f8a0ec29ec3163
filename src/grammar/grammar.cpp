// Putting rules together.
#include "grammar/grammar.h"

#include "base/error.h"

namespace headgate {

int32_t Grammar::add_rule(std::string name) {
  rules_.push_back({std::move(name), -1, -1, -1, 0, 0});
  return static_cast<int32_t>(rules_.size()) - 1;
}

void Grammar::define(int32_t rule, int32_t start, int32_t accept) {
  Rule& r = rules_[static_cast<size_t>(rule)];
  HEADGATE_CHECK(r.start < 0 && r.body < 0);
  r.start = start;
  r.accept = accept;
}

int32_t Grammar::add_repeat(std::string name, int32_t body, int32_t min, int32_t max) {
  HEADGATE_CHECK(min >= 0 && (max == kUnbounded || max >= min));
  const int32_t rule = add_rule(std::move(name));
  Rule& r = rules_[static_cast<size_t>(rule)];
  r.body = body;
  r.min = min;
  r.max = max;
  return rule;
}

int32_t Grammar::call(int32_t from, int32_t rule) {
  const int32_t to = state();
  nfa_.add_call(from, rule, to);
  return to;
}

void Grammar::copy(int32_t from, const Dfa& dfa, int32_t to) {
  std::vector<int32_t> states;
  for (size_t i = 0; i < dfa.states.size(); ++i) states.push_back(state());
  nfa_.add_epsilon(from, states[0]);
  for (size_t i = 0; i < dfa.states.size(); ++i) {
    for (const Dfa::Range& range : dfa.states[i].ranges)
      nfa_.add_range(states[i], range.low, range.high, states[static_cast<size_t>(range.target)]);
    if (dfa.states[i].accepting) nfa_.add_epsilon(states[i], to);
  }
}

}  // namespace headgate
