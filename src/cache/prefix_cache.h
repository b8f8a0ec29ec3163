// Saved states of sequences that are over or went on, found again by the tokens that led to them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/sequence_state.h"

namespace headgate {

// A tree over tokens for each salt; a node may hold a snapshot of the state after the tokens on the
// way to it. KV pages are shared between snapshots and with running sequences, so that what an
// entry costs is its recurrent state and the pages nobody else has. Tokens and salts are compared,
// not hashed: two prefixes never take each other's place. Thread rule: that of the pool.
class PrefixCache {
 public:
  // `shape` of the pool that all snapshots come from; the pool outlives the cache.
  explicit PrefixCache(const StateShape& shape);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  struct Match {
    std::optional<Snapshot> snapshot;  // the one that serves; none: nothing does
    int64_t position = 0;  // tokens it saves: the caller rewinds the restored state to here
    int64_t common = 0;    // tokens known here, with a snapshot or not: the rest was never seen
  };
  // What serves `tokens` best, at most `most` of them. A recurrent state serves at its own position
  // only; without recurrent layers a longer one serves too, cut back. Counts as a use.
  Match find(const std::string& salt, std::span<const int32_t> tokens, int64_t most);
  // Whether a snapshot stands exactly there; counts as a use.
  bool touch(const std::string& salt, std::span<const int32_t> tokens);
  // The nearest snapshot's position at or before the end of `tokens`; 0: none.
  int64_t nearest(const std::string& salt, std::span<const int32_t> tokens) const;

  // Keeps `snapshot` of the state after `tokens`; one that stands there already stays.
  void insert(const std::string& salt, std::span<const int32_t> tokens, Snapshot snapshot);

  // Drops the entry whose bytes save the least expected replay: tokens beyond the entry before it,
  // times uses, over age and bytes. False when there is none.
  bool evict_one();
  void clear();

  int64_t entries() const { return static_cast<int64_t>(entries_.size()); }
  int64_t bytes() const;  // of recurrent states; pages are shared
  int64_t evicted() const { return evicted_; }

 private:
  struct Node;
  // Nodes from the root to the deepest one on the way of `tokens`; `common` counts matching tokens,
  // into the middle of an edge if need be.
  struct Walk {
    Node* last = nullptr;  // deepest node whose whole way matches
    Node* into = nullptr;  // child whose edge matches in part
    int64_t depth = 0;     // of `last`
    int64_t common = 0;
  };
  Walk walk(const std::string& salt, std::span<const int32_t> tokens) const;
  Node* make_node(const std::string& salt, std::span<const int32_t> tokens);
  Node* split(Node* child, int64_t kept);
  void use(Node* node);
  double worth(const Node* node) const;
  void remove(Node* node);  // its snapshot, and what of the tree served it alone

  StateShape shape_;
  std::map<std::string, std::unique_ptr<Node>> roots_;
  std::vector<Node*> entries_;  // nodes with a snapshot
  int64_t clock_ = 0;           // uses so far
  int64_t evicted_ = 0;
};

}  // namespace headgate
