// RMS norms and L2 normalisation over heads, forward and backward.
#pragma once

#include "train/ops.h"

namespace headgate {

// y = x r (1 + w), r = 1 / sqrt(mean(x^2) + eps); inverse [rows, heads] keeps r.
// Source: Zhang & Sennrich 2019 (arXiv 1910.07467), with the weight centred on zero.
template <typename T>
void rms_norm_forward(Ops<T>& ops, Heads<const T> x, const T* w, T eps, Heads<T> y, T* inverse);
// dx = r (h - n mean(h n)), h = dy (1 + w), n = x r; dw += sum dy n. dx is added to with `add`; it
// may be dy.
template <typename T>
void rms_norm_backward(Ops<T>& ops, Heads<const T> dy, Heads<const T> x, const T* w,
                       const T* inverse, Heads<T> dx, bool add, T* dw);

// y = w n(x) silu(z), w not centred: the norm after the delta rule. inverse [rows, heads].
template <typename T>
void gated_norm_forward(Ops<T>& ops, Heads<const T> x, Heads<const T> z, const T* w, T eps,
                        Heads<T> y, T* inverse);
template <typename T>
void gated_norm_backward(Ops<T>& ops, Heads<const T> dy, Heads<const T> x, Heads<const T> z,
                         const T* w, const T* inverse, Heads<T> dx, Heads<T> dz, T* dw);

// y = x r scale, r = 1 / sqrt(sum(x^2) + 1e-6); inverse [rows, heads].
template <typename T>
void l2_norm_forward(Ops<T>& ops, Heads<const T> x, T scale, Heads<T> y, T* inverse);
// dx = r (dy - n (n.dy)) scale, n = x r. dx may be dy.
template <typename T>
void l2_norm_backward(Ops<T>& ops, Heads<const T> dy, Heads<const T> x, T scale, const T* inverse,
                      Heads<T> dx);

}  // namespace headgate
