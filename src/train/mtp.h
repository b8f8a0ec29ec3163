// The multi-token-prediction module, trained for several steps on its own outputs.
#pragma once

#include <memory>
#include <vector>

#include "train/layers/decoder_layer.h"

namespace headgate {

// Step s of origin t reads token t + s and the hidden state of t (step 1: the trunk's after its
// final norm; later: the step before's output after mtp.norm) at position t + s - 1, and predicts
// token t + s + 1. It attends to the step-1 keys of its document up to t and to its own keys of
// steps 2..s: exactly what a chain of drafts sees, whose later entries are dropped after
// verification.
template <typename T>
class MtpModule {
 public:
  MtpModule(const ModelConfig& config, const NetworkRanges& ranges, const T* weights, T* gradients);

  bool moe() const { return layer_.moe(); }
  void forward(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation, In<T> embedding,
               In<T> hidden, int64_t steps);
  // Output of step 1.. after mtp.norm, and its gradient, zero after forward().
  Out<T> output(int64_t step) const { return saved(step).m.view(); }
  Out<T> output_gradient(int64_t step) const { return saved(step).d_m.view(); }
  // Of the router, all steps together.
  RouterSums router_sums() const;
  // From the output gradients: adds to d_embedding, and to d_hidden unless its data is null.
  void backward(Ops<T>& ops, const Rotation<T>& rotation, In<T> hidden,
                const RouterLossGradient<T>& losses, bool freeze_router, Out<T> d_embedding,
                Out<T> d_hidden);

 private:
  struct Step {
    BatchLayout layout;  // active: token t + s exists in the document
    std::vector<int32_t> ids;
    Buffer<T> embedded, joined, x, y, m, d_m, e_inverse, h_inverse, m_inverse;
    LayerSaved<T> layer;
  };
  Step& saved(int64_t step) const { return *steps_[static_cast<size_t>(step - 1)]; }
  std::vector<AttentionSaved<T>*> before(int64_t step) const;
  void forward_step(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation,
                    In<T> embedding, In<T> previous, int64_t step);
  void backward_step(Ops<T>& ops, const Rotation<T>& rotation, In<T> previous, int64_t step,
                     const RouterLossGradient<T>& losses, bool freeze_router, Out<T> d_embedding,
                     Out<T> d_previous);

  T eps_;
  Weight<T> input_, embedding_norm_, hidden_norm_, final_norm_;
  DecoderLayer<T> layer_;
  std::vector<std::unique_ptr<Step>> steps_;
  int64_t count_ = 0;  // steps of the last forward pass
};

}  // namespace headgate
