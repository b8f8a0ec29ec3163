// Reads texts against a grammar byte by byte: sets of all places that a text may have reached, kept
// and reused.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"

namespace headgate {

// A place: a state of a rule's automaton, and the call that the rule is read for.
struct Item {
  int32_t state;
  int32_t node;
  friend auto operator<=>(const Item&, const Item&) = default;
};

// An Earley recogniser (Earley 1970) over automata instead of dotted rules, whose sets are found
// again: two texts that lead to the same places share one set, its steps and whatever is known of
// it, as a lazily built deterministic automaton would (Aycock and Horspool 2002 for empty rules;
// calls at the end of a rule return to the caller's caller, after Leo 1991). Any grammar works,
// left-recursive and ambiguous ones, too.
//
// A node is a call of a rule: where reading goes on behind it, once for every caller. Nodes with
// equal rules and callers are one. Sets and nodes are never given back; the owner starts a new
// machine when bytes() grows too large. Thread rule: one thread.
class SetMachine {
 public:
  static constexpr int32_t kDead = 0;      // the set of no place
  static constexpr int32_t kRoot = 0;      // the node of the whole text
  static constexpr int32_t kOpen = 1;      // the node of an unknown caller
  static constexpr int32_t kDepth = 1000;  // calls that may be open at once

  explicit SetMachine(std::shared_ptr<const Automaton> automaton);

  int32_t start();
  // The set of one state whose caller is unknown.
  int32_t open_set(int32_t state) { return find_set({{state, kOpen}}); }
  // The set of the places behind a node.
  int32_t behind(int32_t node);

  int32_t step(int32_t set, uint8_t byte) {
    const int32_t next = steps_[static_cast<size_t>(set) * classes_ + byte_classes_[byte]];
    return next >= 0 ? next : find_step(set, byte);
  }
  // The set behind a token that the grammar names; kDead where it is not expected.
  int32_t step_token(int32_t set, int32_t token);

  bool may_end(int32_t set) const { return info(set).root_done; }
  // The unknown caller's rule may end here.
  bool open_done(int32_t set) const { return info(set).open_done; }
  // Whether anything can follow.
  bool goes_on(int32_t set) const { return info(set).scans_end > info(set).scans; }
  // The largest depth of a place in it.
  int32_t depth(int32_t set) const { return info(set).depth; }

  // The places right after the last byte, before calls and ends of rules are followed.
  std::span<const Item> kernel(int32_t set) const;
  // The places where something can be read.
  std::span<const Item> scans(int32_t set) const;
  // Where reading goes on behind a node.
  std::span<const Item> edges(int32_t node) const;
  int32_t node_rule(int32_t node) const { return nodes_[static_cast<size_t>(node)].rule; }

  // The set of `other` that equals `set` here: for moving to a new machine.
  int32_t import_set(const SetMachine& other, int32_t set,
                     std::unordered_map<int32_t, int32_t>& nodes);

  const Automaton& automaton() const { return *automaton_; }
  int64_t bytes() const;
  // "the end, or one of these bytes: ..." for explanations.
  std::vector<uint8_t> first_bytes(int32_t set);

 private:
  struct SetInfo {
    int32_t kernel = 0, kernel_end = 0, scans = 0, scans_end = 0;  // in items_
    int32_t depth = 0;
    bool root_done = false, open_done = false;
  };
  struct Node {
    int32_t rule = -1;
    int32_t edges = 0, edges_end = 0;  // in edges_
    int32_t depth = 0;
    bool cyclic = false;  // reached from itself, or from such a node of the same set
  };
  class Closure;
  friend class Closure;

  const SetInfo& info(int32_t set) const { return sets_[static_cast<size_t>(set)]; }
  int32_t find_step(int32_t set, uint8_t byte);
  // The set with these places as its kernel; they are brought into their normal form.
  int32_t find_set(std::vector<Item> items);
  void add_normal(Item item, std::vector<Item>& out, std::vector<Item>& seen) const;
  // The node of this rule and these callers (sorted).
  int32_t find_node(int32_t rule, const std::vector<Item>& callers);
  int32_t add_node(int32_t rule, const std::vector<Item>& callers, int32_t depth, bool cyclic);
  int32_t import_node(const SetMachine& other, int32_t node,
                      std::unordered_map<int32_t, int32_t>& nodes);

  std::shared_ptr<const Automaton> automaton_;
  std::array<uint8_t, 256> byte_classes_;
  size_t classes_;
  std::vector<SetInfo> sets_;
  std::vector<int32_t> steps_;  // [sets, classes]; -1: not known yet
  std::vector<Item> items_;     // of all sets
  std::vector<Node> nodes_;
  std::vector<Item> edges_;  // of all nodes
  std::unordered_multimap<uint64_t, int32_t> set_index_, node_index_;
  std::unordered_map<uint64_t, int32_t> token_steps_;
};

}  // namespace headgate
