// The gated delta net mixer: projection, convolution, gates, delta rule, gated norm.
#pragma once

#include <vector>

#include "model/config.h"
#include "train/layers/conv.h"
#include "train/layers/delta_core.h"
#include "train/layers/weight.h"

namespace headgate {

template <typename T>
struct DeltaNetWeights {
  Weight<T> in;  // qkvz grouped by key head, then ba grouped by key head
  Weight<T> conv, decay, dt_bias, norm, out;
};

template <typename T>
struct DeltaNetSaved {
  Buffer<T> projected, mixed, q, k, q_inverse, k_inverse, g, beta, o, o_inverse, normed;
  DeltaSaved<T> core;
};

template <typename T>
class DeltaNetMixer {
 public:
  DeltaNetMixer(const ModelConfig& config, const DeltaNetWeights<T>& weights);

  // y = mixer(x), both [tokens, hidden].
  void forward(Ops<T>& ops, const BatchLayout& layout, In<T> x, DeltaNetSaved<T>& saved, Out<T> y);
  // dx is written.
  void backward(Ops<T>& ops, const BatchLayout& layout, In<T> dy, In<T> x, DeltaNetSaved<T>& saved,
                Out<T> dx);

 private:
  int64_t ratio() const { return shape_.value_heads / shape_.key_heads; }
  int64_t value_width() const { return shape_.value_heads * shape_.value_dim; }
  int64_t key_width() const { return shape_.key_heads * shape_.key_dim; }
  Heads<T> q_of(Out<T> mixed) const;
  Heads<T> k_of(Out<T> mixed) const;
  Heads<T> v_of(Out<T> mixed) const;
  // Columns of the projection: z, b and a of value head j.
  int64_t z_column(int64_t head) const;
  int64_t b_column(int64_t head) const;
  int64_t a_column(int64_t head) const { return b_column(head) + ratio(); }
  Out<T> gather_z(Ops<T>& ops, In<T> projected, Borrowed<T>& to) const;
  void gates_forward(Ops<T>& ops, DeltaNetSaved<T>& saved) const;
  void gates_backward(Ops<T>& ops, const DeltaNetSaved<T>& saved, In<T> dg, In<T> d_beta,
                      Out<T> d_projected) const;
  DeltaInputs<T> core_inputs(const DeltaNetSaved<T>& saved) const;
  void core_backward(Ops<T>& ops, const BatchLayout& layout, In<T> d_o, DeltaNetSaved<T>& saved,
                     Out<T> d_projected) const;

  DeltaShape shape_;
  T eps_;
  DeltaNetWeights<T> weights_;
  std::vector<ConvSegment> segments_;
};

}  // namespace headgate
