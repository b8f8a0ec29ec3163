// One decoder layer: x += mixer(norm(x)); x += mlp(norm(x)).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "train/layers/attention.h"
#include "train/layers/delta_net.h"
#include "train/layers/mlp.h"
#include "train/parameters.h"

namespace headgate {

template <typename T>
struct LayerSaved {
  Buffer<T> normed, inverse, middle, mlp_normed, mlp_inverse;
  AttentionSaved<T> attention;
  DeltaNetSaved<T> delta;
  MlpSaved<T> mlp;
};

// The same for every layer of a pass.
template <typename T>
struct Pass {
  Ops<T>& ops;
  const BatchLayout& layout;
  const Rotation<T>& rotation;
  int64_t offset = 0;                          // of the positions
  std::vector<AttentionSaved<T>*> steps = {};  // earlier steps of a multi-step module
};

template <typename T>
class DecoderLayer {
 public:
  // Weights and gradients are arrays laid out by `ranges`.
  DecoderLayer(const ModelConfig& config, const LayerRanges& ranges, const T* weights,
               T* gradients);

  bool moe() const { return mlp_.moe(); }
  // y = layer(x), both [tokens, hidden].
  void forward(const Pass<T>& pass, In<T> x, LayerSaved<T>& saved, Out<T> y);
  // d holds the gradient of y and becomes that of x.
  void backward(const Pass<T>& pass, In<T> x, LayerSaved<T>& saved,
                const RouterLossGradient<T>& losses, bool freeze_router, Out<T> d);
  // Before the first backward pass that reads this step's keys.
  void start_backward(LayerSaved<T>& saved, int64_t tokens);

 private:
  T eps_;
  Weight<T> mixer_norm_, mlp_norm_;
  std::optional<AttentionMixer<T>> attention_;
  std::optional<DeltaNetMixer<T>> delta_;
  Mlp<T> mlp_;
};

// The matrix of a range inside arrays of weights and gradients.
template <typename T>
Weight<T> weight_at(const MatrixRange& range, const T* weights, T* gradients) {
  return {In<T>(weights + range.offset, range.rows, range.cols),
          Out<T>(range.frozen ? nullptr : gradients + range.offset, range.rows, range.cols)};
}

}  // namespace headgate
