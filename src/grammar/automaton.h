// A compiled grammar: rules as deterministic automata that call each other, trimmed to what can be
// completed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/grammar.h"

namespace headgate {

// Immutable. States of all rules are numbered through; above them lie the counting states of
// repetitions, which take no memory: state virtual_begin(rule) + n has read the body n times.
// Thread rule: any thread.
class Automaton {
 public:
  struct Rule {
    std::string name;
    int32_t start = -1;
    int32_t height = 0;  // calls that must be open at once to complete it
    // Of repetitions:
    int32_t body = -1;
    int32_t min = 0, max = 0;  // kUnbounded
    // Its texts form a code: none is the beginning of another, none is empty, no calls inside.
    bool prefix_code = false;
    bool nullable = false;
  };
  struct State {
    int32_t ranges = 0, calls = 0,
            tokens = 0;  // first of each, the last is before the next state's
    int32_t rule = 0;
    int32_t height = 0;
    bool accepting = false;
  };
  struct Place {  // a counting state
    int32_t rule, count;
  };

  // Throws kInvalidArgument when no text at all fits the grammar or it is too large.
  Automaton(const Grammar& grammar, WorkBudget& budget);

  const std::vector<Rule>& rules() const { return rules_; }
  const Rule& rule(int32_t index) const { return rules_[static_cast<size_t>(index)]; }
  int32_t root() const { return root_; }

  bool is_virtual(int32_t state) const { return state >= states_end_; }
  Place place(int32_t virtual_state) const;
  int32_t virtual_state(int32_t rule, int32_t count) const;
  int32_t start_of(int32_t rule) const;

  // Of real states:
  const State& state(int32_t index) const { return states_[static_cast<size_t>(index)]; }
  std::span<const Dfa::Range> ranges(int32_t state) const;
  std::span<const Dfa::Call> calls(int32_t state) const;
  std::span<const Dfa::Call> tokens(int32_t state) const;
  int32_t states() const { return states_end_; }

  // Of any state:
  bool accepting(int32_t state) const;
  // Nothing can be read: the rule has ended.
  bool only_accepts(int32_t state) const;
  int32_t height(int32_t state) const;

  // Bytes that no state tells apart have one class.
  const std::array<uint8_t, 256>& byte_classes() const { return byte_classes_; }
  int32_t classes() const { return classes_; }
  // All tokens that some state reads.
  const std::vector<int32_t>& named_tokens() const { return named_tokens_; }
  int64_t memory_bytes() const;

 private:
  class Builder;
  std::vector<Rule> rules_;
  std::vector<State> states_;  // one more than there are
  std::vector<Dfa::Range> ranges_;
  std::vector<Dfa::Call> calls_, tokens_;
  std::vector<int32_t> virtual_begin_;  // by rule; of others equal to the next one's
  std::vector<int32_t> named_tokens_;
  std::array<uint8_t, 256> byte_classes_{};
  int32_t classes_ = 1;
  int32_t states_end_ = 0;
  int32_t root_ = 0;
};

}  // namespace headgate
