// Steps between sets, and the closure of a set under calls and ends of rules.
#include "grammar/set_machine.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace headgate {
namespace {

// What finding one set may cost: a few milliseconds at most, where ordinary grammars need
// microseconds.
constexpr int64_t kMostWork = 100'000;

uint64_t hash_items(std::span<const Item> items, uint64_t seed) {
  uint64_t h = mix_bits(seed);
  for (const Item& item : items)
    h = mix_bits(
        h ^ (uint64_t{static_cast<uint32_t>(item.state)} << 32 | static_cast<uint32_t>(item.node)));
  return h;
}

void sort_unique(std::vector<Item>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

}  // namespace

// Follows calls and ends of rules from the kernel of a set. Nodes made on the way have numbers from
// -1 downwards until they are known to the machine.
class SetMachine::Closure {
 public:
  explicit Closure(SetMachine& machine) : m_(machine), a_(*machine.automaton_) {}

  void run(std::span<const Item> kernel, SetInfo& info) {
    for (const Item& item : kernel) add(item);
    while (next_ < all_.size()) visit(all_[next_++]);
    settle_nodes();
    for (const Item& item : all_) {
      if (a_.is_virtual(item.state)) continue;
      if (a_.ranges(item.state).empty() && a_.tokens(item.state).empty()) continue;
      scans_.push_back({item.state, global(item.node)});
    }
    sort_unique(scans_);
    info.root_done = root_done_;
    info.open_done = open_done_;
    for (const Item& item : kernel)
      info.depth = std::max(info.depth, m_.nodes_[static_cast<size_t>(item.node)].depth);
  }

  const std::vector<Item>& scans() const { return scans_; }

 private:
  struct Local {
    int32_t rule;
    int32_t depth;
    std::vector<Item> callers;
    std::vector<Item>
        begun;          // those callers that have read something in their turn before the call
    bool done = false;  // read without reading anything
    int32_t global = -1;
  };

  Local& local(int32_t node) { return locals_[static_cast<size_t>(-1 - node)]; }
  int32_t global(int32_t node) { return node >= 0 ? node : local(node).global; }
  int32_t depth(int32_t node) {
    return node >= 0 ? m_.nodes_[static_cast<size_t>(node)].depth : local(node).depth;
  }

  void add(Item item) {
    if (++work_ > kMostWork) {
      fail(ErrorCode::kResourceExhausted,
           "constrained text: too many ways to read it at once; the grammar is too ambiguous");
    }
    if (depth(item.node) + a_.height(item.state) > kDepth) return;
    const uint64_t key =
        uint64_t{static_cast<uint32_t>(item.state)} << 32 | static_cast<uint32_t>(item.node);
    if (!seen_.emplace(key, true).second) return;
    all_.push_back(item);
  }

  void visit(Item item) {
    if (a_.accepting(item.state)) complete(item.node);
    if (a_.is_virtual(item.state)) {
      const Automaton::Place at = a_.place(item.state);
      const Automaton::Rule& rule = a_.rule(at.rule);
      if (rule.max == kUnbounded || at.count < rule.max)
        call(rule.body, a_.virtual_state(at.rule, at.count + 1), item.node);
      return;
    }
    for (const Dfa::Call& edge : a_.calls(item.state)) call(edge.rule, edge.target, item.node);
  }

  void complete(int32_t node) {
    if (node == kRoot) root_done_ = true;
    if (node == kOpen) open_done_ = true;
    if (node >= 0) {
      for (const Item& edge : m_.edges(node)) add(edge);
      return;
    }
    Local& here = local(node);
    if (here.done) return;
    here.done = true;
    for (const Item& caller : std::vector<Item>(here.callers)) go_behind(caller);
    for (const Item& caller : std::vector<Item>(here.begun)) add(caller);
  }

  // An empty turn of a repetition leads nowhere new (see Automaton: its minimum is 0).
  void go_behind(Item caller) {
    if (!a_.is_virtual(caller.state)) add(caller);
  }

  void call(int32_t rule, int32_t back, int32_t node) {
    if (depth(node) + 1 + a_.rule(rule).height > kDepth) return;
    const auto [found, is_new] = by_rule_.emplace(rule, -1 - static_cast<int32_t>(locals_.size()));
    if (is_new) locals_.push_back({rule, depth(node) + 1, {}, {}, false, -1});
    const int32_t callee = found->second;
    if (a_.only_accepts(back) && node > kOpen) {
      // Nothing is left to do in the caller: go back to its callers at once. The caller was called
      // in an earlier set, so its turn is not empty even if the callee reads nothing.
      for (const Item& edge : m_.edges(node)) {
        add_caller(callee, edge);
        Local& here = local(callee);
        if (here.done) {
          add(edge);
        } else {
          here.begun.push_back(edge);
        }
      }
    } else {
      add_caller(callee, {back, node});
    }
    if (is_new) add({a_.start_of(rule), callee});
  }

  void add_caller(int32_t callee, Item caller) {
    Local& here = local(callee);
    work_ += static_cast<int64_t>(here.callers.size()) / 8;
    if (std::find(here.callers.begin(), here.callers.end(), caller) != here.callers.end()) return;
    here.callers.push_back(caller);
    here.depth = std::min(here.depth, depth(caller.node) + 1);
    if (here.done) go_behind(caller);
  }

  // Gives every node its number: first those whose callers all have one, then those in cycles.
  void settle_nodes() {
    for (bool changed = true; changed;) {
      changed = false;
      for (Local& here : locals_) {
        if (here.global >= 0) continue;
        std::vector<Item> callers;
        bool known = true;
        for (const Item& caller : here.callers) {
          callers.push_back({caller.state, global(caller.node)});
          known = known && callers.back().node >= 0;
        }
        if (!known) continue;
        sort_unique(callers);
        here.global = m_.find_node(here.rule, callers);
        changed = true;
      }
    }
    std::vector<Local*> cyclic;
    for (Local& here : locals_) {
      if (here.global >= 0) continue;
      here.global = static_cast<int32_t>(m_.nodes_.size());
      m_.nodes_.push_back({here.rule, 0, 0, here.depth, true});
      cyclic.push_back(&here);
    }
    for (Local* here : cyclic) {
      std::vector<Item> callers;
      for (const Item& caller : here->callers)
        callers.push_back({caller.state, global(caller.node)});
      sort_unique(callers);
      Node& node = m_.nodes_[static_cast<size_t>(here->global)];
      node.edges = static_cast<int32_t>(m_.edges_.size());
      m_.edges_.insert(m_.edges_.end(), callers.begin(), callers.end());
      node.edges_end = static_cast<int32_t>(m_.edges_.size());
    }
  }

  SetMachine& m_;
  const Automaton& a_;
  std::vector<Item> all_, scans_;
  size_t next_ = 0;
  int64_t work_ = 0;
  std::unordered_map<uint64_t, bool> seen_;
  std::unordered_map<int32_t, int32_t> by_rule_;
  std::vector<Local> locals_;
  bool root_done_ = false, open_done_ = false;
};

SetMachine::SetMachine(std::shared_ptr<const Automaton> automaton)
    : automaton_(std::move(automaton)),
      byte_classes_(automaton_->byte_classes()),
      classes_(static_cast<size_t>(automaton_->classes())) {
  nodes_.resize(2);  // kRoot and kOpen, without edges
  sets_.emplace_back();
  steps_.assign(classes_, kDead);
}

int32_t SetMachine::start() {
  return find_set({{automaton_->start_of(automaton_->root()), kRoot}});
}

int32_t SetMachine::behind(int32_t node) {
  const std::span<const Item> items = edges(node);
  return find_set({items.begin(), items.end()});
}

std::span<const Item> SetMachine::kernel(int32_t set) const {
  const SetInfo& i = info(set);
  return std::span(items_).subspan(static_cast<size_t>(i.kernel),
                                   static_cast<size_t>(i.kernel_end - i.kernel));
}

std::span<const Item> SetMachine::scans(int32_t set) const {
  const SetInfo& i = info(set);
  return std::span(items_).subspan(static_cast<size_t>(i.scans),
                                   static_cast<size_t>(i.scans_end - i.scans));
}

std::span<const Item> SetMachine::edges(int32_t node) const {
  const Node& n = nodes_[static_cast<size_t>(node)];
  return std::span(edges_).subspan(static_cast<size_t>(n.edges),
                                   static_cast<size_t>(n.edges_end - n.edges));
}

// A place where the rule has only to end stands for the places behind its callers.
void SetMachine::add_normal(Item item, std::vector<Item>& out, std::vector<Item>& seen) const {
  std::vector<Item> open{item};
  while (!open.empty()) {
    const Item at = open.back();
    open.pop_back();
    if (at.node <= kOpen || !automaton_->only_accepts(at.state)) {
      out.push_back(at);
      continue;
    }
    if (std::find(seen.begin(), seen.end(), at) != seen.end()) continue;
    seen.push_back(at);
    for (const Item& edge : edges(at.node)) open.push_back(edge);
  }
}

int32_t SetMachine::find_set(std::vector<Item> items) {
  std::vector<Item> kernel_items, seen;
  for (const Item& item : items) add_normal(item, kernel_items, seen);
  sort_unique(kernel_items);
  if (kernel_items.empty()) return kDead;
  const uint64_t hash = hash_items(kernel_items, 1);
  const auto [begin, end] = set_index_.equal_range(hash);
  for (auto found = begin; found != end; ++found) {
    const std::span<const Item> known = kernel(found->second);
    if (std::equal(known.begin(), known.end(), kernel_items.begin(), kernel_items.end()))
      return found->second;
  }
  SetInfo made;
  Closure closure(*this);
  closure.run(kernel_items, made);
  const auto put = [&](const std::vector<Item>& from, int32_t& first, int32_t& last) {
    first = static_cast<int32_t>(items_.size());
    items_.insert(items_.end(), from.begin(), from.end());
    last = static_cast<int32_t>(items_.size());
  };
  put(kernel_items, made.kernel, made.kernel_end);
  put(closure.scans(), made.scans, made.scans_end);
  int32_t set = kDead;  // nothing can be read and nothing ends: too deep
  if (made.root_done || made.open_done || made.scans_end > made.scans) {
    set = static_cast<int32_t>(sets_.size());
    sets_.push_back(made);
    steps_.resize(steps_.size() + classes_, -1);
    set_index_.emplace(hash, set);
  } else {
    items_.resize(static_cast<size_t>(made.kernel));
  }
  return set;
}

int32_t SetMachine::find_step(int32_t set, uint8_t byte) {
  std::vector<Item> next;
  for (const Item& item : scans(set)) {
    for (const Dfa::Range& range : automaton_->ranges(item.state)) {
      if (range.low <= byte && byte <= range.high) next.push_back({range.target, item.node});
    }
  }
  const int32_t found = find_set(std::move(next));
  steps_[static_cast<size_t>(set) * classes_ + byte_classes_[byte]] = found;
  return found;
}

int32_t SetMachine::step_token(int32_t set, int32_t token) {
  const uint64_t key = uint64_t{static_cast<uint32_t>(set)} << 32 | static_cast<uint32_t>(token);
  const auto known = token_steps_.find(key);
  if (known != token_steps_.end()) return known->second;
  std::vector<Item> next;
  for (const Item& item : scans(set)) {
    for (const Dfa::Call& edge : automaton_->tokens(item.state)) {
      if (edge.rule == token) next.push_back({edge.target, item.node});
    }
  }
  return token_steps_[key] = find_set(std::move(next));
}

int32_t SetMachine::find_node(int32_t rule, const std::vector<Item>& callers) {
  const uint64_t hash = hash_items(callers, static_cast<uint64_t>(rule) + 2);
  const auto [begin, end] = node_index_.equal_range(hash);
  for (auto found = begin; found != end; ++found) {
    const std::span<const Item> known = edges(found->second);
    if (node_rule(found->second) == rule &&
        std::equal(known.begin(), known.end(), callers.begin(), callers.end()))
      return found->second;
  }
  int32_t depth = kDepth;
  for (const Item& caller : callers)
    depth = std::min(depth, nodes_[static_cast<size_t>(caller.node)].depth);
  const int32_t node = add_node(rule, callers, depth + 1, false);
  node_index_.emplace(hash, node);
  return node;
}

int32_t SetMachine::add_node(int32_t rule, const std::vector<Item>& callers, int32_t depth,
                             bool cyclic) {
  Node node;
  node.rule = rule;
  node.depth = depth;
  node.cyclic = cyclic;
  node.edges = static_cast<int32_t>(edges_.size());
  edges_.insert(edges_.end(), callers.begin(), callers.end());
  node.edges_end = static_cast<int32_t>(edges_.size());
  nodes_.push_back(node);
  return static_cast<int32_t>(nodes_.size()) - 1;
}

// Callers before callees, without recursion: chains of calls are as long as texts are deep.
int32_t SetMachine::import_node(const SetMachine& other, int32_t wanted,
                                std::unordered_map<int32_t, int32_t>& nodes) {
  std::vector<int32_t> open{wanted};
  while (!open.empty()) {
    const int32_t node = open.back();
    if (node <= kOpen ||
        (nodes.contains(node) && !other.nodes_[static_cast<size_t>(node)].cyclic)) {
      nodes[node] = node <= kOpen ? node : nodes[node];
      open.pop_back();
      continue;
    }
    const Node& from = other.nodes_[static_cast<size_t>(node)];
    const bool met = nodes.contains(node);
    // A node in a cycle gets its number before its callers are known.
    if (from.cyclic && !met) nodes[node] = add_node(from.rule, {}, from.depth, true);
    std::vector<Item> callers;
    bool ready = true;
    for (const Item& edge : other.edges(node)) {
      const auto known = nodes.find(edge.node);
      if (edge.node > kOpen && known == nodes.end()) {
        open.push_back(edge.node);
        ready = false;
      } else {
        callers.push_back({edge.state, edge.node <= kOpen ? edge.node : known->second});
      }
    }
    if (!ready) continue;
    open.pop_back();
    std::sort(callers.begin(), callers.end());
    if (!from.cyclic) {
      nodes[node] = find_node(from.rule, callers);
      continue;
    }
    Node& made = nodes_[static_cast<size_t>(nodes[node])];
    if (made.edges_end > made.edges) continue;
    made.edges = static_cast<int32_t>(edges_.size());
    edges_.insert(edges_.end(), callers.begin(), callers.end());
    made.edges_end = static_cast<int32_t>(edges_.size());
  }
  return wanted <= kOpen ? wanted : nodes[wanted];
}

int32_t SetMachine::import_set(const SetMachine& other, int32_t set,
                               std::unordered_map<int32_t, int32_t>& nodes) {
  std::vector<Item> items;
  for (const Item& item : other.kernel(set))
    items.push_back({item.state, import_node(other, item.node, nodes)});
  return find_set(std::move(items));
}

int64_t SetMachine::bytes() const {
  constexpr size_t kIndexEntry = 40;
  return static_cast<int64_t>(
      sets_.size() * (sizeof(SetInfo) + kIndexEntry) + steps_.size() * sizeof(int32_t) +
      (items_.size() + edges_.size()) * sizeof(Item) +
      nodes_.size() * (sizeof(Node) + kIndexEntry) + token_steps_.size() * kIndexEntry);
}

std::vector<uint8_t> SetMachine::first_bytes(int32_t set) {
  std::vector<uint8_t> out;
  for (int byte = 0; byte < 256; ++byte) {
    if (step(set, static_cast<uint8_t>(byte)) != kDead) out.push_back(static_cast<uint8_t>(byte));
  }
  return out;
}

}  // namespace headgate
