// A radix tree over tokens with snapshots at some of its nodes.
#include "cache/prefix_cache.h"

#include <algorithm>

#include "base/error.h"
#include "cache/disk_tier.h"

namespace headgate {
namespace {

constexpr int64_t kMostEntries = 4096;  // a bound on the tree where states take no memory
// What is lost with a state that can be read again, as a part of computing it again.
constexpr double kWorthOfCopy = 0.125;
constexpr size_t kWholeShare = 4;  // one of so many states is not packed

int64_t common_length(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t length = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(length), b.begin()).first -
         a.begin();
}

// Of a node besides itself and its tokens: its places in maps and lists, and what an allocation
// takes for itself.
constexpr int64_t kNodeOverhead = 192;
constexpr int64_t kSnapshotOverhead = 160;

}  // namespace

struct PrefixCache::Node {
  Node* parent = nullptr;
  Digest salt{};                                      // of the root it hangs from
  std::vector<int32_t> edge;                          // tokens from the parent to here
  std::map<int32_t, std::unique_ptr<Node>> children;  // by the first token of their edge
  int64_t depth = 0;                                  // tokens from the root
  std::optional<Snapshot> snapshot;
  DiskEntry* stored = nullptr;  // on disk
  bool storing = false;         // being written
  bool unstorable = false;
  std::chrono::steady_clock::time_point kept_at;
  size_t entry = 0;      // in entries_, with a snapshot
  int64_t last_use = 0;  // on the clock
  int64_t uses = 0;
  bool unpackable = false;  // was tried

  int64_t bytes() const {
    return static_cast<int64_t>(sizeof(Node) + edge.size() * sizeof(int32_t)) + kNodeOverhead;
  }
};

PrefixCache::PrefixCache(const StateShape& shape) : shape_(shape) {}
PrefixCache::~PrefixCache() = default;

int64_t PrefixCache::list_bytes(const Node* node) const {
  const int64_t pages = shape_.attention_layers > 0 ? node->depth / shape_.kv.page_tokens + 1 : 0;
  return kSnapshotOverhead + pages * static_cast<int64_t>(sizeof(int32_t));
}

Digest PrefixCache::salt_digest(const std::string& salt) { return Sha256().add(salt).digest(); }

PrefixCache::Walk PrefixCache::walk(const Digest& salt, std::span<const int32_t> tokens) const {
  Walk way;
  const auto root = roots_.find(salt);
  if (root == roots_.end()) return way;
  way.last = root->second.get();
  while (way.depth < static_cast<int64_t>(tokens.size())) {
    const std::span<const int32_t> rest = tokens.subspan(static_cast<size_t>(way.depth));
    const auto child = way.last->children.find(rest.front());
    if (child == way.last->children.end()) break;
    const int64_t same = common_length(child->second->edge, rest);
    way.common = way.depth + same;
    if (same < static_cast<int64_t>(child->second->edge.size())) {
      way.into = child->second.get();
      break;
    }
    way.last = child->second.get();
    way.depth = way.common;
  }
  return way;
}

void PrefixCache::use(Node* node) {
  node->last_use = ++clock_;
  ++node->uses;
}

PrefixCache::Match PrefixCache::find(const std::string& salt, std::span<const int32_t> tokens,
                                     int64_t most) {
  const Walk way = walk(salt_digest(salt), tokens);
  Match match;
  match.common = way.common;
  if (way.last == nullptr) return match;
  if (shape_.recurrent_layers == 0) {
    // Any snapshot below the last common token holds its pages.
    Node* below = way.into != nullptr ? way.into : way.last;
    while (!below->snapshot && !below->children.empty())
      below = below->children.begin()->second.get();
    if (below->snapshot) {
      match.snapshot = below->snapshot;
      match.position = std::min({way.common, most, below->depth});
      use(below);
      return match;
    }
  }
  Node* node = way.last;
  while (node != nullptr && (!node->snapshot || node->depth > most)) node = node->parent;
  if (node == nullptr) return match;
  match.snapshot = node->snapshot;
  match.position = node->depth;
  use(node);
  return match;
}

bool PrefixCache::touch(const std::string& salt, std::span<const int32_t> tokens) {
  const Walk way = walk(salt_digest(salt), tokens);
  if (way.last == nullptr || way.depth != static_cast<int64_t>(tokens.size()) ||
      !way.last->snapshot)
    return false;
  use(way.last);
  return true;
}

int64_t PrefixCache::nearest(const std::string& salt, std::span<const int32_t> tokens) const {
  const Node* node = walk(salt_digest(salt), tokens).last;
  while (node != nullptr && !node->snapshot) node = node->parent;
  return node != nullptr ? node->depth : 0;
}

PrefixCache::Node* PrefixCache::split(Node* child, int64_t kept) {
  Node* parent = child->parent;
  auto middle = std::make_unique<Node>();
  middle->parent = parent;
  middle->salt = child->salt;
  middle->depth = parent->depth + kept;
  middle->edge.assign(child->edge.begin(), child->edge.begin() + kept);
  Node* made = middle.get();
  const auto at = parent->children.find(child->edge.front());
  std::unique_ptr<Node> lower = std::move(at->second);
  at->second = std::move(middle);
  // A new one: erasing would keep the memory.
  lower->edge = std::vector<int32_t>(lower->edge.begin() + kept, lower->edge.end());
  index_bytes_ += made->bytes() - kept * static_cast<int64_t>(sizeof(int32_t));
  lower->parent = made;
  made->children.emplace(lower->edge.front(), std::move(lower));
  return made;
}

PrefixCache::Node* PrefixCache::make_node(const Digest& salt, std::span<const int32_t> tokens) {
  const auto root = roots_.try_emplace(salt).first;
  if (root->second == nullptr) {
    root->second = std::make_unique<Node>();
    root->second->salt = salt;
    index_bytes_ += root->second->bytes();
  }
  const Walk way = walk(salt, tokens);
  Node* node = way.last;
  if (way.into != nullptr) node = split(way.into, way.common - way.depth);
  if (node->depth == static_cast<int64_t>(tokens.size())) return node;
  auto leaf = std::make_unique<Node>();
  leaf->parent = node;
  leaf->salt = node->salt;
  leaf->depth = static_cast<int64_t>(tokens.size());
  leaf->edge.assign(tokens.begin() + node->depth, tokens.end());
  Node* made = leaf.get();
  index_bytes_ += made->bytes();
  node->children.emplace(made->edge.front(), std::move(leaf));
  return made;
}

void PrefixCache::insert(const std::string& salt, std::span<const int32_t> tokens,
                         Snapshot snapshot) {
  insert(salt_digest(salt), tokens, std::move(snapshot));
}

void PrefixCache::insert(const Digest& salt, std::span<const int32_t> tokens, Snapshot snapshot) {
  HEADGATE_CHECK(!tokens.empty() && snapshot.position() == static_cast<int64_t>(tokens.size()));
  keep(make_node(salt, tokens), std::move(snapshot));
}

void PrefixCache::insert_stored(const DiskEntry* entry, Snapshot snapshot) {
  const auto at = stored_.find(entry);
  if (at != stored_.end()) keep(at->second, std::move(snapshot));
}

void PrefixCache::keep(Node* node, Snapshot snapshot) {
  if (!node->snapshot) {
    node->snapshot = std::move(snapshot);
    node->kept_at = std::chrono::steady_clock::now();
    node->entry = entries_.size();
    entries_.push_back(node);
    index_bytes_ += list_bytes(node);
    bytes_ += node->snapshot->bytes();
    node->unpackable = false;
  }
  use(node);
  while (entries() > kMostEntries) {
    Node* least = least_worth();
    if (least == nullptr) break;
    remove(least);
    ++evicted_;
  }
}

double PrefixCache::worth(const Node* node) const {
  const Node* before = node->parent;
  while (before != nullptr && !before->snapshot) before = before->parent;
  const int64_t saved = node->depth - (before != nullptr ? before->depth : 0);
  // What comes after this node shares its pages: only a leaf's own would come free.
  const int64_t pages =
      node->children.empty() && shape_.attention_layers > 0 ? saved / shape_.kv.page_tokens + 1 : 0;
  const int64_t bytes = node->snapshot->bytes() + pages * shape_.page_bytes();
  const auto age = static_cast<double>(clock_ - node->last_use + 1);
  const double lost = node->stored != nullptr && node->stored->serves ? kWorthOfCopy : 1.0;
  return lost * static_cast<double>(saved) * static_cast<double>(node->uses) / age /
         static_cast<double>(std::max<int64_t>(bytes, 1));
}

PrefixCache::Node* PrefixCache::least_worth() const {
  Node* least = nullptr;
  double least_worth = 0;
  for (Node* node : entries_) {
    if (node->storing) continue;  // its memory would stay in use
    const double value = worth(node);
    if (least == nullptr || value < least_worth ||
        (value == least_worth && node->last_use < least->last_use)) {
      least = node;
      least_worth = value;
    }
  }
  return least;
}

bool PrefixCache::evict_one() {
  Node* least = least_worth();
  if (least == nullptr) return false;
  Node* cold = coldest_whole();
  if (cold != nullptr && pack(cold)) return true;
  remove(least);
  ++evicted_;
  return true;
}

PrefixCache::Node* PrefixCache::coldest_whole() const {
  Node* coldest = nullptr;
  double coldest_worth = 0;
  size_t whole = 0;
  for (Node* node : entries_) {
    if (node->unpackable) continue;
    ++whole;
    if (node->storing) continue;
    const double value = worth(node);
    if (coldest != nullptr && value >= coldest_worth) continue;
    coldest = node;
    coldest_worth = value;
  }
  return whole * kWholeShare > entries_.size() ? coldest : nullptr;
}

bool PrefixCache::pack(Node* node) {
  if (node->unpackable) return false;
  node->unpackable = true;  // not twice
  std::optional<Snapshot> packed = node->snapshot->packed();
  if (!packed) return false;
  bytes_ += packed->bytes() - node->snapshot->bytes();
  node->snapshot = std::move(packed);
  ++packed_;
  return true;
}

void PrefixCache::remove(Node* node) {
  bytes_ -= node->snapshot->bytes();
  packed_ -= node->snapshot->is_packed() ? 1 : 0;
  node->snapshot.reset();
  index_bytes_ -= list_bytes(node);
  entries_[node->entry] = entries_.back();
  entries_[node->entry]->entry = node->entry;
  entries_.pop_back();
  prune(node);
}

void PrefixCache::prune(Node* node) {
  const auto is_idle = [](const Node* n) {
    return n->children.empty() && !n->snapshot && n->stored == nullptr;
  };
  while (node->parent != nullptr && is_idle(node)) {
    Node* parent = node->parent;
    const int32_t first = node->edge.front();
    index_bytes_ -= node->bytes();
    parent->children.erase(first);
    node = parent;
  }
  if (node->parent != nullptr || !is_idle(node)) return;
  index_bytes_ -= node->bytes();
  roots_.erase(Digest(node->salt));
}

PrefixCache::StoredMatch PrefixCache::find_stored(const std::string& salt,
                                                  std::span<const int32_t> tokens,
                                                  int64_t most) const {
  StoredMatch match;
  if (stored_.empty()) return match;
  const Walk way = walk(salt_digest(salt), tokens);
  const auto serves = [](const Node* n) {
    return n->stored != nullptr && n->stored->ready && n->stored->serves;
  };
  if (way.last == nullptr) return match;
  if (shape_.recurrent_layers == 0) {
    const Node* below = way.into != nullptr ? way.into : way.last;
    const auto saved = [&](const Node* n) { return std::min({way.common, most, n->depth}); };
    while (!serves(below) && !below->snapshot && !below->children.empty())
      below = below->children.begin()->second.get();
    if (below->snapshot) match.in_memory = saved(below);
    if (serves(below)) {
      match.entry = below->stored;
      match.position = saved(below);
      return match;
    }
  }
  for (const Node* node = way.last; node != nullptr; node = node->parent) {
    if (node->depth > most) continue;
    if (node->snapshot) match.in_memory = std::max(match.in_memory, node->depth);
    if (match.entry == nullptr && serves(node)) {
      match.entry = node->stored;
      match.position = node->depth;
    }
  }
  return match;
}

void PrefixCache::attach(const Digest& salt, std::span<const int32_t> tokens, DiskEntry* entry) {
  Node* node = make_node(salt, tokens);
  if (node->stored != nullptr) stored_.erase(node->stored);
  node->stored = entry;
  stored_[entry] = node;
}

void PrefixCache::detach(const DiskEntry* entry) {
  const auto at = stored_.find(entry);
  if (at == stored_.end()) return;
  Node* node = at->second;
  stored_.erase(at);
  node->stored = nullptr;
  prune(node);
}

bool PrefixCache::may_be_stored(const Node* node, int64_t least) {
  return node->snapshot && !node->snapshot->is_packed() && node->depth >= least &&
         !node->unstorable && (node->stored == nullptr || !node->stored->serves);
}

bool PrefixCache::wants_store(int64_t least) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Node* node) { return may_be_stored(node, least); });
}

std::optional<PrefixCache::Candidate> PrefixCache::begin_store(
    int64_t least, std::chrono::steady_clock::time_point before) {
  Node* best = nullptr;
  double best_worth = -1;
  for (Node* node : entries_) {
    if (!may_be_stored(node, least) || node->kept_at > before) continue;
    const double value = worth(node);
    if (value > best_worth) {
      best = node;
      best_worth = value;
    }
  }
  if (best == nullptr) return std::nullopt;
  // What it comes after goes first, so that it stores its own pages only.
  for (Node* node = best->parent; node != nullptr; node = node->parent) {
    if (may_be_stored(node, least)) best = node;
  }
  Candidate out{best->salt, {}, *best->snapshot, nullptr};
  for (const Node* node = best; node->parent != nullptr; node = node->parent)
    out.tokens.insert(out.tokens.begin(), node->edge.begin(), node->edge.end());
  for (const Node* node = best->parent; node != nullptr && out.parent == nullptr;
       node = node->parent) {
    if (node->stored != nullptr && node->stored->ready) out.parent = node->stored;
  }
  best->storing = true;
  return out;
}

void PrefixCache::end_store(const Digest& salt, std::span<const int32_t> tokens, bool refused) {
  const Walk way = walk(salt, tokens);
  if (way.last == nullptr || way.last->depth != static_cast<int64_t>(tokens.size())) return;
  way.last->storing = false;
  way.last->unstorable = way.last->unstorable || refused;
}

void PrefixCache::clear() {
  roots_.clear();
  entries_.clear();
  stored_.clear();
  index_bytes_ = bytes_ = packed_ = 0;
}

}  // namespace headgate
