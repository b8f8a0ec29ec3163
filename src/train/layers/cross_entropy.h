// Cross entropy fused with the output projection: tiles of rows, never all logits at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "train/layers/weight.h"

namespace headgate {

// One prediction: row of the hidden states, token to predict, weight of its loss.
struct Target {
  int64_t row = 0;
  int32_t token = 0;
  float weight = 0;
};

// What became of one target.
struct TargetResult {
  double loss = 0;
  int32_t best = 0;  // the most probable token
};

// Sum over targets of weight * -log softmax(hidden lm_head^T)[token]; `results`, when not empty,
// has one entry per target. With `scale` not 0 also the gradient of scale * that sum: d_hidden
// [tokens, hidden] and the projection's gradient are added to.
template <typename T>
double cross_entropy(Ops<T>& ops, In<T> hidden, const Weight<T>& projection,
                     std::span<const Target> targets, T scale, Out<T> d_hidden,
                     std::span<TargetResult> results);

}  // namespace headgate
