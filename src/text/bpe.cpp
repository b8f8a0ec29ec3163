// Two ways to merge: repeated scanning of a small array, and a linked list with a priority queue.
#include "text/bpe.h"

#include <algorithm>

#include "base/error.h"
#include "text/vocabulary.h"

namespace headgate {

MergeRules::MergeRules(int64_t expected_rules) : seed_(process_seed()) {
  uint64_t capacity = 16;
  while (capacity < static_cast<uint64_t>(expected_rules) * 2) capacity *= 2;
  slots_.resize(capacity);
  mask_ = capacity - 1;
}

uint64_t MergeRules::slot_of(int32_t left, int32_t right) const {
  uint64_t h =
      (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  h = (h ^ seed_) * 0x9e3779b97f4a7c15u;
  h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
  return (h ^ (h >> 32)) & mask_;
}

const MergeRules::Rule& MergeRules::find(int32_t left, int32_t right) const {
  uint64_t i = slot_of(left, right);
  while (slots_[i].left >= 0 && (slots_[i].left != left || slots_[i].right != right)) {
    i = (i + 1) & mask_;
  }
  return slots_[i];
}

bool MergeRules::add(int32_t left, int32_t right, int32_t merged) {
  HEADGATE_CHECK(static_cast<uint64_t>(rules_) < slots_.size() / 2);
  uint64_t i = slot_of(left, right);
  for (; slots_[i].left >= 0; i = (i + 1) & mask_) {
    if (slots_[i].left == left && slots_[i].right == right) return false;
  }
  slots_[i] = {left, right, rules_++, merged};
  return true;
}

void MergeRules::finish() {
  byte_pairs_.resize(256 * 256);
  for (size_t left = 0; left < 256; ++left) {
    for (size_t right = 0; right < 256; ++right) {
      byte_pairs_[left << 8 | right] = outcome(byte_ids_[left], byte_ids_[right]);
    }
  }
}

void MergeRules::apply(std::string_view piece, BpeScratch& scratch,
                       std::vector<int32_t>& out) const {
  if (piece.size() <= kShort) {
    apply_short(piece, out);
  } else if (piece.size() <= kLong) {
    apply_linked(piece, scratch, scratch.heap, out);
  } else {
    apply_linked(piece, scratch, scratch.buckets, out);
  }
}

void MergeRules::apply_short(std::string_view piece, std::vector<int32_t>& out) const {
  if (piece.empty()) return;
  // rank[i] and merged[i] belong to the pair (ids[i], ids[i + 1]).
  int32_t ids[kShort];
  int32_t rank[kShort + 1] = {};
  int32_t merged[kShort + 1] = {};
  int count = static_cast<int>(piece.size());
  const auto set_pair = [&](int i, const Outcome& outcome) {
    rank[i] = outcome.rank;
    merged[i] = outcome.merged;
  };
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    ids[i] = byte_ids_[static_cast<uint8_t>(piece[at])];
    if (i + 1 < count) set_pair(i, byte_pair(piece[at], piece[at + 1]));
  }
  while (count > 1) {
    const int best = static_cast<int>(std::min_element(rank, rank + count - 1) - rank);
    if (rank[best] == kNoRank) break;
    ids[best] = merged[best];
    --count;
    for (int i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      rank[i] = rank[i + 1];  // the last one read is not in use
      merged[i] = merged[i + 1];
    }
    if (best + 1 < count) set_pair(best, outcome(ids[best], ids[best + 1]));
    if (best > 0) set_pair(best - 1, outcome(ids[best - 1], ids[best]));
  }
  out.insert(out.end(), ids, ids + count);
}

template <typename Queue>
void MergeRules::apply_linked(std::string_view piece, BpeScratch& s, Queue& queue,
                              std::vector<int32_t>& out) const {
  const auto count = static_cast<int32_t>(piece.size());
  for (auto* column : {&s.ids, &s.previous, &s.next, &s.rank, &s.merged}) {
    column->resize(piece.size());
  }
  int32_t* const ids = s.ids.data();
  int32_t* const previous = s.previous.data();
  int32_t* const next = s.next.data();
  int32_t* const rank = s.rank.data();
  // A queue entry whose rank is no longer that of its position is out of date.
  queue.clear(rules_);
  const auto set_pair = [&](int32_t i, const Outcome& outcome) {
    rank[i] = outcome.rank;
    if (outcome.rank == kNoRank) return;
    s.merged[static_cast<size_t>(i)] = outcome.merged;
    queue.push({outcome.rank, i});
  };
  const auto outcome_at = [&](int32_t i) {
    return next[i] == count ? Outcome{kNoRank, -1} : outcome(ids[i], ids[next[i]]);
  };
  for (int32_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    ids[i] = byte_ids_[static_cast<uint8_t>(piece[at])];
    previous[i] = i - 1;
    next[i] = i + 1;
    const bool last = i + 1 == count;
    set_pair(i, last ? Outcome{kNoRank, -1} : byte_pair(piece[at], piece[at + 1]));
  }
  for (RankedPosition top = queue.pop(); top.rank >= 0; top = queue.pop()) {
    const int32_t i = top.position;
    if (rank[i] != top.rank) continue;
    const int32_t gone = next[i];
    ids[i] = s.merged[static_cast<size_t>(i)];
    rank[gone] = kNoRank;
    next[i] = next[gone];
    if (next[i] < count) previous[next[i]] = i;
    for (const int32_t changed : {i, previous[i]}) {
      if (changed >= 0) set_pair(changed, outcome_at(changed));
    }
  }
  for (int32_t i = 0; i < count; i = next[i]) out.push_back(ids[i]);
}

}  // namespace headgate
