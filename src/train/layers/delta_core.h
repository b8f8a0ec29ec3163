// The chunked gated delta rule over packed documents, forward and backward.
#pragma once

#include <cstdint>

#include "train/layout.h"
#include "train/ops.h"

namespace headgate {

// Sizes and inputs of one layer: q, k (normalised, q scaled) [tokens, key_heads * key_dim]; v
// [tokens, value_heads * value_dim]; g (log decay) and beta [tokens, value_heads]. Value head j
// reads key head j / (value_heads / key_heads).
template <typename T>
struct DeltaInputs {
  Heads<const T> q, k, v;
  In<T> g, beta;
  int64_t chunk = 64;
};

template <typename T>
struct DeltaGradients {
  Heads<T> q, k, v;  // per value head: q, k [tokens, value_heads * key_dim]
  Out<T> g, beta;
};

// What the backward pass needs: per (row, value head, chunk) the factors and the state before it.
template <typename T>
struct DeltaSaved {
  Buffer<T> states;   // [row, head, chunk] x [key_dim, value_dim]
  Buffer<T> squares;  // x 4 [chunk, chunk]: decay, k k^T decay, q k^T decay, (I + A)^-1
  Buffer<T> tall;     // x [chunk, value_dim + key_dim + value_dim]: U, W, V'
  Buffer<T> scratch;  // per worker
};

// o [tokens, value_heads * value_dim]. Recurrence per head, S = 0 at the start of a document:
// S = exp(g_t) S; d = beta_t (v_t - S^T k_t); S += k_t d^T; o_t = S^T q_t.
// Source: Yang et al. 2024, Gated Delta Networks (arXiv 2412.06464), section 3.3 and appendix.
template <typename T>
void delta_core_forward(Ops<T>& ops, const BatchLayout& layout, const DeltaInputs<T>& in,
                        DeltaSaved<T>& saved, Heads<T> o);
// Every gradient is written, not added to.
template <typename T>
void delta_core_backward(Ops<T>& ops, const BatchLayout& layout, const DeltaInputs<T>& in,
                         DeltaSaved<T>& saved, Heads<const T> d_o, const DeltaGradients<T>& grad);

}  // namespace headgate
