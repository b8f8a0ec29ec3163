// Byte-pair merging: the merge rules and their application to one piece.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/bpe_queue.h"

namespace headgate {

// Memory that merging reuses from piece to piece; one per encode call.
struct BpeScratch {
  std::vector<int32_t> ids, previous, next, rank, merged;
  HeapQueue heap;
  BucketQueue buckets;
};

// Merge rules by rank. Filled once, then only read. Thread rule: const members may be called from
// any thread, each with its own scratch.
class MergeRules {
 public:
  explicit MergeRules(int64_t expected_rules);

  // The id of every single byte.
  void set_byte(uint8_t byte, int32_t id) { byte_ids_[byte] = id; }
  // Adds the next rule in rank order: (left, right) -> merged. False when the pair has one already.
  // At most `expected_rules` may be added.
  [[nodiscard]] bool add(int32_t left, int32_t right, int32_t merged);
  // To be called once, after the last set_byte() and add() and before the first apply().
  void finish();

  // Appends the ids of one piece to `out`: starting from single bytes, the adjacent pair with the
  // lowest rank (the leftmost of equals) is merged until no pair has a rule. n log n at worst.
  // Pieces of up to 2^31 - 1 bytes.
  void apply(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const;

 private:
  struct Rule {
    int32_t left = -1;
    int32_t right = -1;
    int32_t rank = kNoRank;
    int32_t merged = -1;
  };
  static constexpr int32_t kNoRank = 0x7fffffff;
  static constexpr int kShort = 32;   // bytes; measured: up to it, scanning beats a queue
  static constexpr int kLong = 4096;  // bytes; measured: beyond it, buckets beat a heap

  // What merging needs to know of a pair.
  struct Outcome {
    int32_t rank, merged;
  };

  const Rule& find(int32_t left, int32_t right) const;
  Outcome outcome(int32_t left, int32_t right) const {
    const Rule& rule = find(left, right);
    return {rule.rank, rule.merged};
  }
  const Outcome& byte_pair(char left, char right) const {
    return byte_pairs_[static_cast<size_t>(static_cast<uint8_t>(left)) << 8 |
                       static_cast<uint8_t>(right)];
  }
  uint64_t slot_of(int32_t left, int32_t right) const;
  void apply_short(std::string_view piece, std::vector<int32_t>& out) const;
  template <typename Queue>
  void apply_linked(std::string_view piece, BpeScratch& scratch, Queue& queue,
                    std::vector<int32_t>& out) const;

  std::array<int32_t, 256> byte_ids_{};
  std::vector<Outcome> byte_pairs_;  // of each two bytes: half of all look-ups, without hashing
  std::vector<Rule> slots_;
  uint64_t mask_ = 0;
  uint64_t seed_;
  int32_t rules_ = 0;
};

}  // namespace headgate
