// Random choices of the generator: a pure function of (seed, stream, index), the same everywhere.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace headgate {

// FNV-1a of a text: names of streams, and the split of prompts into training and test.
inline uint64_t text_hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

// A row of throws. Two objects made from the same numbers throw the same.
class Dice {
 public:
  Dice(uint64_t seed, uint64_t stream, uint64_t index)
      : key_(random_bits(seed, stream, index)), throws_(0) {}

  uint64_t bits() { return mix_bits(key_ + throws_++ * 0x9e3779b97f4a7c15u); }
  // Uniform in [0, n); n >= 1. The bias of the multiplication is below n / 2^64.
  int64_t below(int64_t n) {
    HEADGATE_DCHECK(n >= 1);
    __extension__ using Wide = unsigned __int128;
    return static_cast<int64_t>((static_cast<Wide>(bits()) * static_cast<uint64_t>(n)) >> 64);
  }
  // Uniform in [low, high], both included.
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  bool chance(double p) { return uniform() < p; }

  template <typename T>
  const T& pick(const std::vector<T>& items) {
    return items[static_cast<size_t>(below(static_cast<int64_t>(items.size())))];
  }
  template <typename T, size_t kCount>
  const T& pick(const T (&items)[kCount]) {
    return items[static_cast<size_t>(below(static_cast<int64_t>(kCount)))];
  }
  template <typename T>
  T& pick(std::span<T> items) {
    return items[static_cast<size_t>(below(static_cast<int64_t>(items.size())))];
  }

  // Fisher-Yates.
  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (size_t left = items.size(); left > 1; --left)
      std::swap(items[left - 1], items[static_cast<size_t>(below(static_cast<int64_t>(left)))]);
  }
  // Index of a weight, drawn in proportion to it; the sum must be above zero.
  size_t weighted(std::span<const double> weights) {
    double total = 0;
    for (double weight : weights) total += weight;
    double left = uniform() * total;
    size_t last = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] <= 0) continue;
      last = i;
      left -= weights[i];
      if (left < 0) return i;
    }
    return last;
  }

 private:
  uint64_t key_;
  uint64_t throws_;
};

}  // namespace headgate
