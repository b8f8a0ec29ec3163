// A micro-batch as the layers see it: one stream of tokens with document bounds.
#pragma once

#include <cstdint>
#include <vector>

#include "train/trainer.h"

namespace headgate {

struct BatchLayout {
  int64_t rows = 0, length = 0;    // tokens [rows * length]
  std::vector<int32_t> tokens;     // 0 for padding
  std::vector<int32_t> first;      // index in the stream of the first token of the document
  std::vector<int32_t> positions;  // within the document
  std::vector<uint8_t> active;     // false: padding
  std::vector<float> weights;      // as a target; 0 for first tokens of documents and padding

  int64_t size() const { return rows * length; }
  // Token t + shift exists and is of t's document.
  bool has(int64_t t, int64_t shift) const {
    return t % length + shift < length && active[static_cast<size_t>(t)] != 0 &&
           first[static_cast<size_t>(t + shift)] == first[static_cast<size_t>(t)];
  }
};

// Throws kInvalidArgument for sizes that disagree, a token outside the vocabulary, or a weight that
// is negative or not finite.
BatchLayout make_layout(const TrainBatch& batch, int64_t vocabulary);

}  // namespace headgate
