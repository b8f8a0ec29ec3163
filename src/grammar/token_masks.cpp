// Walks over the token tree, and masks put together from what they found.
#include "grammar/token_masks.h"

#include <algorithm>

#include "sampling/token_constraint.h"

namespace headgate {
namespace {

void set_bit(std::span<uint64_t> mask, int32_t token) {
  mask[static_cast<size_t>(token / 64)] |= uint64_t{1} << (token % 64);
}

void clear_bit(std::span<uint64_t> mask, int32_t token) {
  mask[static_cast<size_t>(token / 64)] &= ~(uint64_t{1} << (token % 64));
}

void add_bits(std::span<uint64_t> mask, const std::vector<uint64_t>& bits) {
  for (size_t i = 0; i < bits.size(); ++i) mask[i] |= bits[i];
}

}  // namespace

TokenMasks::TokenMasks(std::shared_ptr<const Automaton> automaton,
                       std::shared_ptr<const TokenTrie> trie)
    : automaton_(std::move(automaton)), trie_(std::move(trie)) {
  path_.resize(static_cast<size_t>(trie_->most_bytes()) + 1);
}

void TokenMasks::clear() {
  states_.clear();
  repeats_.clear();
  bytes_ = 0;
}

template <typename Visit>
void TokenMasks::walk(SetMachine& machine, int32_t from, int32_t set, Visit visit) {
  const std::vector<TokenTrie::Node>& nodes = trie_->nodes();
  path_[nodes[static_cast<size_t>(from)].depth] = set;
  const int32_t end = nodes[static_cast<size_t>(from)].end;
  for (int32_t i = from + 1; i < end;) {
    const TokenTrie::Node& node = nodes[static_cast<size_t>(i)];
    const int32_t next = machine.step(path_[node.depth - 1u], node.byte);
    if (next == SetMachine::kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth] = next;
    visit(i, next);
    ++i;
  }
}

void TokenMasks::add_subtree(SetMachine& machine, int32_t from, int32_t set,
                             std::span<uint64_t> mask) {
  walk(machine, from, set, [&](int32_t node, int32_t) {
    trie_->for_each_token(node, [&](int32_t token) { set_bit(mask, token); });
  });
}

// Counts that differ only in what lies further ahead than any token reaches are one.
int32_t TokenMasks::representative(int32_t state) const {
  if (!automaton_->is_virtual(state)) return state;
  Automaton::Place at = automaton_->place(state);
  const Automaton::Rule& rule = automaton_->rule(at.rule);
  const int32_t reach = trie_->most_bytes() + 1;
  const bool far_from_max = rule.max == kUnbounded || rule.max - at.count > reach;
  if (at.count < rule.min) {
    if (rule.min - at.count > reach) at.count = 0;
  } else if (far_from_max) {
    at.count = rule.min;
  }
  return automaton_->virtual_state(at.rule, at.count);
}

const TokenMasks::StateMask& TokenMasks::state_mask(SetMachine& machine, int32_t state) {
  state = representative(state);
  const auto known = states_.find(state);
  if (known != states_.end()) return known->second;
  StateMask made;
  const int32_t set = machine.open_set(state);
  found_.clear();
  if (set != SetMachine::kDead) {
    made.ends_at_once = machine.open_done(set);
    const std::vector<TokenTrie::Node>& nodes = trie_->nodes();
    walk(machine, 0, set, [&](int32_t node, int32_t reached) {
      trie_->for_each_token(node, [&](int32_t token) { found_.push_back(token); });
      const bool inner = nodes[static_cast<size_t>(node)].end > node + 1;
      if (inner && machine.open_done(reached)) made.escapes.push_back(node);
    });
  }
  const auto words = static_cast<size_t>(mask_words(trie_->vocabulary()));
  if (found_.size() > words * 2) {
    made.dense.assign(words, 0);
    for (const int32_t token : found_) set_bit(made.dense, token);
  } else {
    made.tokens = found_;
  }
  bytes_ += static_cast<int64_t>(made.dense.size() * 8 +
                                 (made.tokens.size() + made.escapes.size()) * 4 + 200);
  return states_.emplace(state, std::move(made)).first->second;
}

std::unique_ptr<TokenMasks::RepeatMask> TokenMasks::walk_repeat(int32_t state) const {
  auto made = std::make_unique<RepeatMask>();
  const auto words = static_cast<size_t>(mask_words(trie_->vocabulary()));
  for (std::vector<uint64_t>& bits : made->upto) bits.assign(words, 0);
  made->any.assign(words, 0);
  const int32_t start = automaton_->rule(automaton_->state(state).rule).start;
  struct At {
    int32_t state;
    int32_t readings;
  };
  std::vector<At> path(static_cast<size_t>(trie_->most_bytes()) + 1);
  path[0] = {state, 0};
  const std::vector<TokenTrie::Node>& nodes = trie_->nodes();
  for (int32_t i = 1; i < static_cast<int32_t>(nodes.size());) {
    const TokenTrie::Node& node = nodes[static_cast<size_t>(i)];
    const At before = path[node.depth - 1u];
    if (before.state == start && before.readings > 0)
      made->behind[node.byte].emplace_back(i, before.readings);
    int32_t target = -1;
    for (const Dfa::Range& range : automaton_->ranges(before.state)) {
      if (range.low <= node.byte && node.byte <= range.high) target = range.target;
    }
    if (target < 0) {
      i = node.end;
      continue;
    }
    At& here = path[node.depth];
    here = {target, before.readings};
    const bool whole = automaton_->only_accepts(target);
    if (whole) here = {start, before.readings + 1};
    const int32_t needed = here.readings + (whole ? 0 : 1);
    trie_->for_each_token(i, [&](int32_t token) {
      set_bit(made->any, token);
      made->longer.emplace_back(needed, token);
    });
    ++i;
  }
  for (const auto& [needed, token] : made->longer) {
    if (needed < static_cast<int32_t>(RepeatMask::kSteps))
      set_bit(made->upto[static_cast<size_t>(needed)], token);
  }
  for (size_t k = 1; k < RepeatMask::kSteps; ++k) add_bits(made->upto[k], made->upto[k - 1]);
  std::erase_if(made->longer, [](const std::pair<int32_t, int32_t>& entry) {
    return entry.first < static_cast<int32_t>(RepeatMask::kSteps);
  });
  std::sort(made->longer.begin(), made->longer.end(), std::greater<>());
  return made;
}

const TokenMasks::RepeatMask& TokenMasks::repeat_mask(int32_t state) {
  std::unique_ptr<RepeatMask>& known = repeats_[state];
  if (known == nullptr) {
    known = walk_repeat(state);
    bytes_ += static_cast<int64_t>((RepeatMask::kSteps + 1) * known->any.size() * 8 +
                                   known->longer.size() * 8 + sizeof(RepeatMask));
    for (const auto& entries : known->behind) bytes_ += static_cast<int64_t>(entries.size() * 8);
  }
  return *known;
}

// `from`: whole readings of the body so far; `node`: the repetition's own.
void TokenMasks::add_repeat(SetMachine& machine, const RepeatMask& known, Automaton::Place from,
                            int32_t node, std::span<uint64_t> mask) {
  const Automaton::Rule& rule = automaton_->rule(from.rule);
  if (rule.max == kUnbounded) {
    add_bits(mask, known.any);
  } else if (const int32_t left = rule.max - from.count;
             left < static_cast<int32_t>(RepeatMask::kSteps)) {
    add_bits(mask, known.upto[static_cast<size_t>(left)]);
  } else {
    std::vector<uint64_t> bits = known.any;
    for (const auto& [readings, token] : known.longer) {
      if (readings <= left) break;
      clear_bit(bits, token);
    }
    add_bits(mask, bits);
  }
  const int32_t set = machine.behind(node);
  for (int byte = 0; byte < 256; ++byte) {
    const auto& nodes = known.behind[static_cast<size_t>(byte)];
    if (nodes.empty()) continue;
    const int32_t next = machine.step(set, static_cast<uint8_t>(byte));
    if (next == SetMachine::kDead) continue;
    for (const auto& [tree_node, readings] : nodes) {
      const int32_t count = from.count + readings;
      if (count < rule.min || (rule.max != kUnbounded && count > rule.max)) continue;
      trie_->for_each_token(tree_node, [&](int32_t token) { set_bit(mask, token); });
      add_subtree(machine, tree_node, next, mask);
    }
  }
}

// Places inside or between the readings of a repeated code; false for all others.
bool TokenMasks::add_counted(SetMachine& machine, Item item, std::span<uint64_t> mask) {
  if (automaton_->is_virtual(item.state)) {
    const Automaton::Place at = automaton_->place(item.state);
    const Automaton::Rule& rule = automaton_->rule(at.rule);
    if (!automaton_->rule(rule.body).prefix_code || item.node == SetMachine::kOpen) return false;
    if (at.count >= rule.min) {
      const std::span<const Item> edges = machine.edges(item.node);
      for (const Item& edge : std::vector<Item>(edges.begin(), edges.end()))
        add_item(machine, edge, mask);
    }
    if (rule.max == kUnbounded || at.count < rule.max)
      add_repeat(machine, repeat_mask(automaton_->rule(rule.body).start), at, item.node, mask);
    return true;
  }
  const Automaton::Rule& body = automaton_->rule(automaton_->state(item.state).rule);
  const std::span<const Item> edges = machine.edges(item.node);
  if (!body.prefix_code || edges.size() != 1 || !automaton_->is_virtual(edges[0].state))
    return false;
  Automaton::Place at = automaton_->place(edges[0].state);
  // A rule called at the very end of the repeated one returns to the same place.
  const bool own = automaton_->rule(at.rule).body == automaton_->state(item.state).rule;
  if (!own || edges[0].node <= SetMachine::kOpen) return false;
  --at.count;  // the reading at hand has begun only
  add_repeat(machine, repeat_mask(item.state), at, edges[0].node, mask);
  return true;
}

void TokenMasks::add_item(SetMachine& machine, Item item, std::span<uint64_t> mask) {
  if (std::find(visited_.begin(), visited_.end(), item) != visited_.end()) return;
  visited_.push_back(item);
  if (add_counted(machine, item, mask)) return;
  const StateMask& known = state_mask(machine, item.state);
  add_bits(mask, known.dense);
  for (const int32_t token : known.tokens) set_bit(mask, token);
  if (item.node <= SetMachine::kOpen) return;
  if (!known.escapes.empty()) {
    const int32_t set = machine.behind(item.node);
    for (const int32_t node : known.escapes) add_subtree(machine, node, set, mask);
  }
  if (known.ends_at_once) {
    const std::span<const Item> edges = machine.edges(item.node);
    for (const Item& edge : std::vector<Item>(edges.begin(), edges.end()))
      add_item(machine, edge, mask);
  }
}

void TokenMasks::add(SetMachine& machine, int32_t set, std::span<uint64_t> mask) {
  if (machine.depth(set) > SetMachine::kDepth / 2) {
    // Near the greatest depth what a state allows depends on how deep it is.
    add_subtree(machine, 0, set, mask);
  } else {
    visited_.clear();
    const std::span<const Item> kernel = machine.kernel(set);
    for (const Item& item : std::vector<Item>(kernel.begin(), kernel.end()))
      add_item(machine, item, mask);
  }
  for (const int32_t token : automaton_->named_tokens()) {
    if (token < trie_->vocabulary() && machine.step_token(set, token) != SetMachine::kDead)
      set_bit(mask, token);
  }
}

void TokenMasks::prepare(SetMachine& machine) {
  constexpr int kMostWalks = 6;  // about 2 ms each for 150,000 tokens
  constexpr int32_t kMostStates = 3000;
  int walks = 0;
  const auto letters_from = [&](int32_t state) {
    const int32_t set = machine.open_set(state);
    int letters = 0;
    for (int byte = 'a'; byte <= 'z'; ++byte)
      letters += machine.step(set, static_cast<uint8_t>(byte)) != SetMachine::kDead ? 1 : 0;
    return letters;
  };
  for (const Automaton::Rule& rule : automaton_->rules()) {
    if (rule.body < 0 || rule.max == 0 || !automaton_->rule(rule.body).prefix_code) continue;
    const int32_t start = automaton_->rule(rule.body).start;
    if (repeats_.contains(start) || letters_from(start) < 20) continue;
    (void)repeat_mask(start);
    if (++walks == kMostWalks) return;
  }
  for (int32_t state = 0; state < std::min(automaton_->states(), kMostStates); ++state) {
    if (automaton_->rule(automaton_->state(state).rule).prefix_code) continue;
    if (letters_from(state) < 20) continue;
    state_mask(machine, state);
    if (++walks == kMostWalks) return;
  }
}

}  // namespace headgate
