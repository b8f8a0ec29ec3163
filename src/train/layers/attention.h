// The gated attention mixer: projections, q/k norms, partial rotation, attention, output gate.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "train/layers/attention_core.h"
#include "train/layers/weight.h"

namespace headgate {

template <typename T>
struct AttentionWeights {
  Weight<T> qkv;  // per head query rows then gate rows; key heads; value heads
  Weight<T> query_norm, key_norm, out;
};

// Values of one forward pass that the backward pass needs.
template <typename T>
struct AttentionSaved {
  Buffer<T> projected, q, k, q_inverse, k_inverse, o, lse, gated;
  Buffer<T> d_projected, dk;  // dv lies in d_projected
};

// Cosines and sines [positions, rotary_dims / 2] each.
template <typename T>
struct Rotation {
  Buffer<T> cosines, sines;
  void prepare(const RopeTable& table, int64_t positions);
};

template <typename T>
class AttentionMixer {
 public:
  AttentionMixer(const ModelConfig& config, const AttentionWeights<T>& weights)
      : config_(config.attention), eps_(static_cast<T>(config.norm_eps)), weights_(weights) {}

  // y = mixer(x), both [tokens, hidden]. `offset` shifts the positions; `steps` are the passes
  // before this one of a multi-step module (empty for a decoder layer): the first is the past, the
  // others and this pass are each token's own.
  void forward(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation, int64_t offset,
               std::vector<AttentionSaved<T>*> steps, In<T> x, AttentionSaved<T>& saved, Out<T> y);
  // dx is written. Gradients of the keys of earlier steps are kept in theirs: run the backward
  // passes of steps in reverse order, each after start_backward of all.
  void backward(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation, int64_t offset,
                std::vector<AttentionSaved<T>*> steps, In<T> dy, In<T> x, AttentionSaved<T>& saved,
                Out<T> dx);
  void start_backward(AttentionSaved<T>& saved, int64_t tokens);

 private:
  int64_t query_width() const { return config_.heads * config_.head_dim; }
  int64_t kv_width() const { return config_.kv_heads * config_.head_dim; }
  Heads<T> queries(Out<T> projected) const;  // before the norm
  Heads<T> gates(Out<T> projected) const;
  Heads<T> keys(Out<T> projected) const;
  Heads<T> values(Out<T> projected) const;
  KeyValues<T> key_values(const AttentionSaved<T>& saved) const;
  KeyValueGradients<T> key_value_gradients(const AttentionSaved<T>& saved) const;

  AttentionConfig config_;
  T eps_;
  AttentionWeights<T> weights_;
};

}  // namespace headgate
