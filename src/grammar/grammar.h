// A context-free grammar over bytes and tokens: rules that are automata which call each other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/nfa.h"

namespace headgate {

constexpr int32_t kUnbounded = -1;

// Put together by the front ends (JSON schema, regular expression, EBNF), then compiled. All rules
// share one Nfa: a rule is what can be read between two of its states.
class Grammar {
 public:
  struct Rule {
    std::string name;
    int32_t start = -1, accept = -1;  // -1: not defined yet
    int32_t body = -1;                // of a counted repetition: the rule repeated
    int32_t min = 0, max = 0;         // of that; kUnbounded
  };

  int32_t add_rule(std::string name);
  void define(int32_t rule, int32_t start, int32_t accept);
  // A rule that is `body` read `min` to `max` times. Counts cost nothing: they are kept on the
  // stack, not in states.
  int32_t add_repeat(std::string name, int32_t body, int32_t min, int32_t max);
  void set_root(int32_t rule) { root_ = rule; }

  Nfa& nfa() { return nfa_; }
  const Nfa& nfa() const { return nfa_; }
  const std::vector<Rule>& rules() const { return rules_; }
  int32_t root() const { return root_; }

  // Short hands for the front ends; all return the state behind what was added.
  int32_t state() { return nfa_.new_state(); }
  int32_t literal(int32_t from, std::string_view text) { return nfa_.add_literal(from, text); }
  int32_t call(int32_t from, int32_t rule);
  void copy(int32_t from, const Dfa& dfa, int32_t to);  // an automaton of bytes, without calls

 private:
  Nfa nfa_;
  std::vector<Rule> rules_;
  int32_t root_ = -1;
};

}  // namespace headgate
