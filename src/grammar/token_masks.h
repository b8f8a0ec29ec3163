// Which tokens may follow a set of places: walks over the token tree, kept by state and put
// together at run time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/set_machine.h"
#include "grammar/token_trie.h"

namespace headgate {

// The mask of a set is the union over the places of its kernel. Of a place, most tokens can be
// decided by its state alone, whoever called its rule: they stay inside the rule. That part is
// found by one walk over all tokens, once per state, and kept. What is left are the tokens that run
// over the rule's end: the walk remembers where in the tree that happens, and only from there on
// the tokens are tried with the callers at hand. (The same idea as in XGrammar, arXiv 2411.15100,
// section 3.1.) Counted repetitions of characters, such as strings with a greatest length, share
// one walk for all counts. Thread rule: one thread.
class TokenMasks {
 public:
  TokenMasks(std::shared_ptr<const Automaton> automaton, std::shared_ptr<const TokenTrie> trie);

  // ORs the text tokens and named tokens that may follow `set` into `mask`, [vocabulary / 64].
  void add(SetMachine& machine, int32_t set, std::span<uint64_t> mask);
  // Walks that any text of the grammar is likely to need, done ahead of time.
  void prepare(SetMachine& machine);

  int64_t bytes() const { return bytes_; }
  // Forgets what was kept, as the limit asks for.
  void clear();

 private:
  struct StateMask {
    std::vector<uint64_t> dense;  // one of the two
    std::vector<int32_t> tokens;
    std::vector<int32_t> escapes;  // tree nodes where the rule may have ended
    bool ends_at_once = false;     // the rule may end before the first byte
  };
  // The walk of a repeated code (see Automaton::Rule::prefix_code) from one of its states.
  struct RepeatMask {
    static constexpr size_t kSteps = 17;
    // [k]: tokens that need at most k readings of the body, the last one perhaps begun only.
    std::array<std::vector<uint64_t>, kSteps> upto;
    std::vector<uint64_t> any;                        // any number of readings
    std::vector<std::pair<int32_t, int32_t>> longer;  // (readings, token), most first
    // By the byte behind a whole number of readings: (tree node of that byte, readings).
    std::array<std::vector<std::pair<int32_t, int32_t>>, 256> behind;
  };

  // Calls visit(node, set) for all nodes below `from` that can be read from `set`.
  template <typename Visit>
  void walk(SetMachine& machine, int32_t from, int32_t set, Visit visit);
  void add_subtree(SetMachine& machine, int32_t from, int32_t set, std::span<uint64_t> mask);
  void add_item(SetMachine& machine, Item item, std::span<uint64_t> mask);
  bool add_counted(SetMachine& machine, Item item, std::span<uint64_t> mask);
  void add_repeat(SetMachine& machine, const RepeatMask& known, Automaton::Place from, int32_t node,
                  std::span<uint64_t> mask);
  const StateMask& state_mask(SetMachine& machine, int32_t state);
  const RepeatMask& repeat_mask(int32_t state);
  std::unique_ptr<RepeatMask> walk_repeat(int32_t state) const;
  // The state whose tokens are the same and which stands for all such counts.
  int32_t representative(int32_t state) const;

  std::shared_ptr<const Automaton> automaton_;
  std::shared_ptr<const TokenTrie> trie_;
  std::unordered_map<int32_t, StateMask> states_;
  std::unordered_map<int32_t, std::unique_ptr<RepeatMask>> repeats_;
  std::vector<int32_t> path_;   // sets by depth, during a walk
  std::vector<Item> visited_;   // places of the set at work
  std::vector<int32_t> found_;  // scratch of a walk
  int64_t bytes_ = 0;
};

}  // namespace headgate
