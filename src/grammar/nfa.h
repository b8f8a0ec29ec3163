// Non-deterministic automata, as grammars are put together from, and their determinisation.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "grammar/code_points.h"

namespace headgate {

// What compiling may cost. Every step of it draws on one budget, so that no input, however short,
// takes longer than about a second. Throws kInvalidArgument when it is used up.
class WorkBudget {
 public:
  explicit WorkBudget(std::string_view what, int64_t units = 20'000'000)
      : what_(what), left_(units) {}
  void spend(int64_t units) {
    left_ -= units;
    if (left_ < 0) exhausted();
  }

 private:
  [[noreturn]] void exhausted() const;
  std::string_view what_;
  int64_t left_;
};

// Edges carry ranges of symbols (bytes, or code points where an automaton of characters is built),
// calls of rules, or single tokens of the vocabulary.
class Nfa {
 public:
  enum class Kind : uint8_t { kEpsilon, kRange, kCall, kToken };
  struct Edge {
    Kind kind;
    uint32_t low, high;  // of kRange; the rule of kCall, the token of kToken: low
    int32_t target;
    int32_t next;  // of the same state, -1: none
  };

  int32_t new_state();
  void add_epsilon(int32_t from, int32_t to) { add({Kind::kEpsilon, 0, 0, to, -1}, from); }
  void add_range(int32_t from, uint32_t low, uint32_t high, int32_t to) {
    add({Kind::kRange, low, high, to, -1}, from);
  }
  void add_call(int32_t from, int32_t rule, int32_t to) {
    add({Kind::kCall, static_cast<uint32_t>(rule), 0, to, -1}, from);
  }
  void add_token(int32_t from, int32_t token, int32_t to) {
    add({Kind::kToken, static_cast<uint32_t>(token), 0, to, -1}, from);
  }
  // The bytes of `text` one after the other; returns the state behind them.
  int32_t add_literal(int32_t from, std::string_view text);
  // The UTF-8 forms of any one member of `set`.
  void add_utf8(int32_t from, const CodePointSet& set, int32_t to);

  int32_t states() const { return static_cast<int32_t>(heads_.size()); }
  int32_t first_edge(int32_t state) const { return heads_[static_cast<size_t>(state)]; }
  const Edge& edge(int32_t index) const { return edges_[static_cast<size_t>(index)]; }

 private:
  void add(Edge edge, int32_t from);
  std::vector<Edge> edges_;
  std::vector<int32_t> heads_;
};

// An automaton without epsilon edges; state 0 is the start. Ranges of a state are in order and do
// not overlap unless `overlapping`.
struct Dfa {
  struct Range {
    uint32_t low, high;
    int32_t target;
  };
  struct Call {
    int32_t rule;
    int32_t target;
  };
  struct State {
    std::vector<Range> ranges;
    std::vector<Call> calls;
    std::vector<Call> tokens;  // rule: the token
    bool accepting = false;
  };
  std::vector<State> states;
  bool overlapping = false;
};

// What can be read from `start` to `accept`. Where subsets would grow beyond `most_states` and
// beyond the states of `nfa`, the result is the automaton without its epsilon edges instead, which
// is overlapping; with `most_states` < 0 a growth beyond -most_states is an error
// (kInvalidArgument).
Dfa determinize(const Nfa& nfa, int32_t start, int32_t accept, WorkBudget& budget,
                int64_t most_states = 4000);

}  // namespace headgate
