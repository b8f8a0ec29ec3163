// A radix tree over tokens with snapshots at some of its nodes.
#include "cache/prefix_cache.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kMostEntries = 4096;  // a bound on the tree where states take no memory

int64_t common_length(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t length = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(length), b.begin()).first -
         a.begin();
}

}  // namespace

struct PrefixCache::Node {
  Node* parent = nullptr;
  const std::string* salt = nullptr;                  // of the root it hangs from
  std::vector<int32_t> edge;                          // tokens from the parent to here
  std::map<int32_t, std::unique_ptr<Node>> children;  // by the first token of their edge
  int64_t depth = 0;                                  // tokens from the root
  std::optional<Snapshot> snapshot;
  size_t entry = 0;      // in entries_, with a snapshot
  int64_t last_use = 0;  // on the clock
  int64_t uses = 0;
};

PrefixCache::PrefixCache(const StateShape& shape) : shape_(shape) {}
PrefixCache::~PrefixCache() = default;

PrefixCache::Walk PrefixCache::walk(const std::string& salt,
                                    std::span<const int32_t> tokens) const {
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
  const Walk way = walk(salt, tokens);
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
  const Walk way = walk(salt, tokens);
  if (way.last == nullptr || way.depth != static_cast<int64_t>(tokens.size()) ||
      !way.last->snapshot)
    return false;
  use(way.last);
  return true;
}

int64_t PrefixCache::nearest(const std::string& salt, std::span<const int32_t> tokens) const {
  const Node* node = walk(salt, tokens).last;
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
  lower->edge.erase(lower->edge.begin(), lower->edge.begin() + kept);
  lower->parent = made;
  made->children.emplace(lower->edge.front(), std::move(lower));
  return made;
}

PrefixCache::Node* PrefixCache::make_node(const std::string& salt,
                                          std::span<const int32_t> tokens) {
  const auto root = roots_.try_emplace(salt).first;
  if (root->second == nullptr) {
    root->second = std::make_unique<Node>();
    root->second->salt = &root->first;
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
  node->children.emplace(made->edge.front(), std::move(leaf));
  return made;
}

void PrefixCache::insert(const std::string& salt, std::span<const int32_t> tokens,
                         Snapshot snapshot) {
  HEADGATE_CHECK(!tokens.empty() && snapshot.position() == static_cast<int64_t>(tokens.size()));
  Node* node = make_node(salt, tokens);
  if (!node->snapshot) {
    node->snapshot = std::move(snapshot);
    node->entry = entries_.size();
    entries_.push_back(node);
  }
  use(node);
  while (entries() > kMostEntries) (void)evict_one();
}

double PrefixCache::worth(const Node* node) const {
  const Node* before = node->parent;
  while (before != nullptr && !before->snapshot) before = before->parent;
  const int64_t saved = node->depth - (before != nullptr ? before->depth : 0);
  // What comes after this node shares its pages: only a leaf's own would come free.
  const int64_t pages =
      node->children.empty() && shape_.attention_layers > 0 ? saved / shape_.kv.page_tokens + 1 : 0;
  const int64_t bytes = shape_.recurrent_bytes() + pages * shape_.page_bytes();
  const auto age = static_cast<double>(clock_ - node->last_use + 1);
  return static_cast<double>(saved) * static_cast<double>(node->uses) / age /
         static_cast<double>(std::max<int64_t>(bytes, 1));
}

bool PrefixCache::evict_one() {
  if (entries_.empty()) return false;
  Node* least = nullptr;
  double least_worth = 0;
  for (Node* node : entries_) {
    const double value = worth(node);
    if (least == nullptr || value < least_worth ||
        (value == least_worth && node->last_use < least->last_use)) {
      least = node;
      least_worth = value;
    }
  }
  remove(least);
  ++evicted_;
  return true;
}

void PrefixCache::remove(Node* node) {
  node->snapshot.reset();
  entries_[node->entry] = entries_.back();
  entries_[node->entry]->entry = node->entry;
  entries_.pop_back();
  while (node->parent != nullptr && node->children.empty() && !node->snapshot) {
    Node* parent = node->parent;
    const int32_t first = node->edge.front();
    parent->children.erase(first);
    node = parent;
  }
  if (node->parent == nullptr && node->children.empty() && !node->snapshot)
    roots_.erase(std::string(*node->salt));
}

void PrefixCache::clear() {
  roots_.clear();
  entries_.clear();
}

int64_t PrefixCache::bytes() const { return entries() * shape_.recurrent_bytes(); }

}  // namespace headgate
