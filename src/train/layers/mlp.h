// The second half of a decoder layer: routed experts with a shared one, or a dense gated unit.
#pragma once

#include <optional>
#include <vector>

#include "model/config.h"
#include "train/layers/router.h"
#include "train/layers/weight.h"

namespace headgate {

template <typename T>
struct GluWeights {
  Weight<T> gate_up;  // [2 width, hidden], gate rows first
  Weight<T> down;     // [hidden, width]
};

template <typename T>
struct MlpWeights {
  bool moe = false;
  GluWeights<T> always;  // the shared expert, or the dense unit
  Weight<T> router;      // [experts (+ 1: the shared expert's gate), hidden]
  std::vector<GluWeights<T>> experts;
};

template <typename T>
struct MlpSaved {
  RouterSaved<T> router;
  Buffer<T> slot_x, slot_ab, slot_h, slot_scaled, slot_weight;  // [slots, ...]
  Buffer<T> ab, h, scaled, gate;                                // the shared expert or dense unit
};

template <typename T>
class Mlp {
 public:
  Mlp(const ModelConfig& config, const MlpWeights<T>& weights)
      : config_(config.moe), weights_(weights) {}

  bool moe() const { return weights_.moe; }
  // y = mlp(x), both [tokens, hidden].
  void forward(Ops<T>& ops, const BatchLayout& layout, In<T> x, MlpSaved<T>& saved, Out<T> y);
  // dx is written; `losses` are those of this layer's router. With `freeze` the router's weights
  // get no gradient.
  void backward(Ops<T>& ops, const BatchLayout& layout, In<T> dy, In<T> x, MlpSaved<T>& saved,
                const RouterLossGradient<T>& losses, bool freeze, Out<T> dx);

 private:
  bool shared() const { return config_.shared_width > 0; }
  void experts_forward(Ops<T>& ops, In<T> x, MlpSaved<T>& saved, Out<T> y);
  void experts_backward(Ops<T>& ops, In<T> dy, MlpSaved<T>& saved, Out<T> d_weights, Out<T> dx);
  void always_forward(Ops<T>& ops, In<T> x, MlpSaved<T>& saved, Out<T> y);
  void always_backward(Ops<T>& ops, In<T> dy, In<T> x, MlpSaved<T>& saved, T* d_gate, Out<T> dx);

  MoeConfig config_;
  MlpWeights<T> weights_;
};

}  // namespace headgate
