// Tiles of targets: logits, their softmax, and the products that carry the gradient on.
#include "train/layers/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "train/layers/activations.h"

namespace headgate {
namespace {

// Logits of one tile stay below this many bytes, so that they are still in a cache when the
// gradient's products read them.
constexpr int64_t kTileBytes = 8 << 20;

// Loss of one row; the logits become scale * weight * (softmax - one-hot).
template <typename T>
TargetResult finish_row(T* logits, int64_t vocabulary, const Target& target, T scale) {
  TargetResult result;
  const T* best = std::max_element(logits, logits + vocabulary);
  const T most = *best, at_target = logits[target.token];
  result.best = static_cast<int32_t>(best - logits);
  const T sum = exp_shifted<T>(logits, most, vocabulary, logits);
  result.loss = std::log(static_cast<double>(sum)) + static_cast<double>(most - at_target);
  if (scale == T(0)) return result;
  const T factor = scale * static_cast<T>(target.weight);
  const T share = factor / sum;
  scale_row(logits, static_cast<const T*>(logits), share, vocabulary);
  logits[target.token] -= factor;
  return result;
}

}  // namespace

template <typename T>
double cross_entropy(Ops<T>& ops, In<T> hidden, const Weight<T>& projection,
                     std::span<const Target> targets, T scale, Out<T> d_hidden,
                     std::span<TargetResult> results) {
  const int64_t vocabulary = projection.w.rows, width = hidden.cols;
  const int64_t row_bytes = vocabulary * static_cast<int64_t>(sizeof(T));
  const int64_t tile = std::clamp<int64_t>(kTileBytes / row_bytes, 64, 1024);
  Borrowed<T> row_buffer(ops), logit_buffer(ops), d_buffer(ops);
  std::vector<TargetResult> found(static_cast<size_t>(tile));
  double total = 0;
  const auto all = static_cast<int64_t>(targets.size());
  if (all == 0) return 0;
  const PackedRight* forward = ops.pack(Form::kNT, projection.w, true, 0);
  const PackedRight* backward =
      scale == T(0) ? nullptr : ops.pack(Form::kNN, projection.w, true, 1);
  for (int64_t start = 0; start < all; start += tile) {
    const int64_t count = std::min(tile, all - start);
    const auto target = [&](int64_t i) -> const Target& {
      return targets[static_cast<size_t>(start + i)];
    };
    const Out<T> rows = row_buffer.shape(count, width), d_rows = d_buffer.shape(count, width);
    const Out<T> logits = logit_buffer.shape(count, vocabulary);
    for (int64_t i = 0; i < count; ++i) {
      const T* from = hidden.row(target(i).row);
      std::copy(from, from + width, rows.row(i));
    }
    ops.product({Form::kNT, rows, projection.w, logits, false, forward}, true);
    ops.pool().run(count, [&](int64_t i, int) {
      found[static_cast<size_t>(i)] = finish_row(logits.row(i), vocabulary, target(i), scale);
    });
    for (int64_t i = 0; i < count; ++i) {
      const TargetResult& result = found[static_cast<size_t>(i)];
      total += result.loss * static_cast<double>(target(i).weight);
      if (!results.empty()) results[static_cast<size_t>(start + i)] = result;
    }
    if (scale == T(0)) continue;
    const Product<T> both[] = {{Form::kNN, logits, projection.w, d_rows, false, backward},
                               {Form::kTN, logits, rows, projection.grad, true}};
    ops.products(std::span(both).first(projection.grad.data == nullptr ? 1 : 2), true);
    for (int64_t i = 0; i < count; ++i) {
      T* to = d_hidden.row(target(i).row);
      for (int64_t j = 0; j < width; ++j) to[j] += d_rows.row(i)[j];
    }
  }
  return total;
}

template double cross_entropy<float>(Ops<float>&, In<float>, const Weight<float>&,
                                     std::span<const Target>, float, Out<float>,
                                     std::span<TargetResult>);
template double cross_entropy<double>(Ops<double>&, In<double>, const Weight<double>&,
                                      std::span<const Target>, double, Out<double>,
                                      std::span<TargetResult>);

}  // namespace headgate
