// Two priority queues of (rank, position) for byte-pair merging: lowest rank first, then leftmost.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace headgate {

struct RankedPosition {
  int32_t rank;  // negative: the queue is empty
  int32_t position;
};

// A binary heap; best for pieces that fit into the cache.
class HeapQueue {
 public:
  void clear(int32_t /*ranks*/) { heap_.clear(); }
  void push(RankedPosition entry) {
    heap_.push_back(static_cast<uint64_t>(entry.rank) << 32 |
                    static_cast<uint32_t>(entry.position));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  RankedPosition pop() {
    if (heap_.empty()) return {-1, 0};
    const uint64_t top = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    return {static_cast<int32_t>(top >> 32), static_cast<int32_t>(top & 0xffffffffu)};
  }

 private:
  std::vector<uint64_t> heap_;  // rank << 32 | position
};

// One bucket per rank, and a heap of the ranks that have one. Long pieces hold few different ranks
// and give each rank's positions mostly in rising order: those cost O(1), the others O(log n).
class BucketQueue {
 public:
  // `ranks`: all pushed ranks are below it.
  void clear(int32_t ranks) {
    bucket_of_.assign(static_cast<size_t>(ranks), -1);
    ranks_.clear();
    free_.clear();
    for (size_t i = 0; i < buckets_.size(); ++i) free_.push_back(static_cast<int32_t>(i));
  }

  void push(RankedPosition entry) {
    int32_t& index = bucket_of_[static_cast<size_t>(entry.rank)];
    if (index < 0) index = open_bucket(entry.rank);
    Bucket& bucket = buckets_[static_cast<size_t>(index)];
    if (bucket.rising.empty() || bucket.rising.back() < entry.position) {
      bucket.rising.push_back(entry.position);
    } else {
      bucket.others.push_back(entry.position);
      std::push_heap(bucket.others.begin(), bucket.others.end(), std::greater<>());
    }
  }

  RankedPosition pop() {
    while (!ranks_.empty()) {
      const int32_t rank = ranks_.front();
      Bucket& bucket = buckets_[static_cast<size_t>(bucket_of_[static_cast<size_t>(rank)])];
      const bool rises = bucket.done < bucket.rising.size();
      if (!bucket.others.empty() &&
          (!rises || bucket.others.front() < bucket.rising[bucket.done])) {
        const int32_t position = bucket.others.front();
        std::pop_heap(bucket.others.begin(), bucket.others.end(), std::greater<>());
        bucket.others.pop_back();
        return {rank, position};
      }
      if (rises) return {rank, bucket.rising[bucket.done++]};
      close_bucket(rank);
    }
    return {-1, 0};
  }

 private:
  struct Bucket {
    std::vector<int32_t> rising;  // in order, the first `done` of them popped
    size_t done = 0;
    std::vector<int32_t> others;  // a heap
  };

  int32_t open_bucket(int32_t rank) {
    ranks_.push_back(rank);
    std::push_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    if (free_.empty()) {
      buckets_.emplace_back();
      return static_cast<int32_t>(buckets_.size()) - 1;
    }
    const int32_t index = free_.back();
    free_.pop_back();
    Bucket& bucket = buckets_[static_cast<size_t>(index)];
    bucket.rising.clear();
    bucket.others.clear();
    bucket.done = 0;
    return index;
  }

  // Only for the rank on top.
  void close_bucket(int32_t rank) {
    std::pop_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    ranks_.pop_back();
    free_.push_back(bucket_of_[static_cast<size_t>(rank)]);
    bucket_of_[static_cast<size_t>(rank)] = -1;
  }

  std::vector<int32_t> bucket_of_;  // by rank, -1: none
  std::vector<Bucket> buckets_;
  std::vector<int32_t> free_;
  std::vector<int32_t> ranks_;  // a heap
};

}  // namespace headgate
