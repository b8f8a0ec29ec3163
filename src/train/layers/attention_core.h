// Causal softmax attention over packed documents, forward and backward, without keeping scores.
#pragma once

#include <cstdint>
#include <span>

#include "train/layout.h"
#include "train/ops.h"

namespace headgate {

// Keys and values of one source, [tokens, kv_heads, head_dim].
template <typename T>
struct KeyValues {
  Heads<const T> k, v;
};
template <typename T>
struct KeyValueGradients {
  Heads<T> k, v;
};

// Query t sees `past`'s tokens of its document up to t, and of each of `own` its token t alone:
// what a drafting step has written for itself. Query head h reads KV head h / (heads / kv_heads).
template <typename T>
struct AttentionInputs {
  Heads<const T> q;
  KeyValues<T> past;
  std::span<const KeyValues<T>> own;
  T scale;
};

// o [tokens, heads, head_dim]; lse [tokens, heads] is the log of each softmax's denominator.
template <typename T>
void attention_core_forward(Ops<T>& ops, const BatchLayout& layout, const AttentionInputs<T>& in,
                            Heads<T> o, Out<T> lse);
// dq is written; gradients of past and own are added to. Scores are computed again from lse.
// Source: Dao 2023, FlashAttention-2 (arXiv 2307.08691), section 3.1.2.
template <typename T>
void attention_core_backward(Ops<T>& ops, const BatchLayout& layout, const AttentionInputs<T>& in,
                             Heads<const T> o, In<T> lse, Heads<const T> d_o, Heads<T> dq,
                             const KeyValueGradients<T>& d_past,
                             std::span<const KeyValueGradients<T>> d_own);

}  // namespace headgate
