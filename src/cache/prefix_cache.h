// Saved states of sequences that are over or went on, found again by the tokens that led to them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/checksum.h"
#include "cache/sequence_state.h"

namespace headgate {

struct DiskEntry;

// A tree over tokens for each salt; a node may hold a snapshot of the state after the tokens on the
// way to it. KV pages are shared between snapshots and with running sequences, so that what an
// entry costs is its recurrent state and the pages nobody else has. Tokens are compared, and salts
// by their SHA-256: two prefixes never take each other's place. Nodes also know which states lie on
// disk. Thread rule: that of the pool.
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
  void insert(const Digest& salt, std::span<const int32_t> tokens, Snapshot snapshot);

  // --- states on disk: whoever owns the disk tier tells, and asks ---
  static Digest salt_digest(const std::string& salt);
  struct StoredMatch {
    DiskEntry* entry = nullptr;  // the one on disk that would serve best; null: none
    int64_t position = 0;        // tokens it would save
    int64_t in_memory = 0;       // tokens that find() would save
  };
  StoredMatch find_stored(const std::string& salt, std::span<const int32_t> tokens,
                          int64_t most) const;
  void attach(const Digest& salt, std::span<const int32_t> tokens, DiskEntry* entry);
  void detach(const DiskEntry* entry);
  // Keeps what was read of an entry; nothing happens when the entry has gone meanwhile.
  void insert_stored(const DiskEntry* entry, Snapshot snapshot);
  struct Candidate {
    Digest salt{};
    std::vector<int32_t> tokens;
    Snapshot snapshot;
    DiskEntry* parent = nullptr;  // nearest on the way that is on disk; null: none
  };
  // What is worth most on disk and is not there, of snapshots of at least `least` tokens kept
  // before `before`. It is not evicted until end_store() says that it is written, or cannot be:
  // then it is not offered again.
  std::optional<Candidate> begin_store(int64_t least, std::chrono::steady_clock::time_point before);
  bool wants_store(int64_t least) const;  // whether begin_store() will have something, some time
  void end_store(const Digest& salt, std::span<const int32_t> tokens, bool refused);

  // Drops the entry whose bytes save the least expected replay: tokens beyond the entry before it,
  // times uses, over age and bytes; less is lost where the disk has it too. Where the pool packs
  // cold states, all but the best quarter are packed before anything is dropped. False when there
  // is none.
  bool evict_one();
  void clear();

  int64_t entries() const { return static_cast<int64_t>(entries_.size()); }
  int64_t bytes() const { return bytes_; }    // of recurrent states; pages are shared
  int64_t packed() const { return packed_; }  // entries in less memory
  // What finding them takes besides: tokens and nodes, also of states on disk, and lists of pages.
  int64_t index_bytes() const { return index_bytes_; }
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
  Walk walk(const Digest& salt, std::span<const int32_t> tokens) const;
  Node* make_node(const Digest& salt, std::span<const int32_t> tokens);
  Node* split(Node* child, int64_t kept);
  void use(Node* node);
  double worth(const Node* node) const;
  Node* least_worth() const;
  Node* coldest_whole() const;  // to be packed; null: none is cold
  bool pack(Node* node);
  void remove(Node* node);  // its snapshot, and what of the tree served it alone
  void prune(Node* node);
  void keep(Node* node, Snapshot snapshot);
  int64_t list_bytes(const Node* node) const;
  static bool may_be_stored(const Node* node, int64_t least);

  StateShape shape_;
  std::map<Digest, std::unique_ptr<Node>> roots_;
  std::vector<Node*> entries_;  // nodes with a snapshot
  std::unordered_map<const DiskEntry*, Node*> stored_;
  int64_t clock_ = 0;  // uses so far
  int64_t evicted_ = 0;
  int64_t index_bytes_ = 0;
  int64_t bytes_ = 0, packed_ = 0;
};

}  // namespace headgate
