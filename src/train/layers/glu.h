// Gated units, rows scaled by a factor: h = s silu(a) b.
#pragma once

#include "train/ops.h"

namespace headgate {

// ab [rows, 2 width] holds a then b; h [rows, width] = silu(a) b; scaled = h * scale[row], skipped
// when scale is null.
template <typename T>
void glu_forward(Ops<T>& ops, In<T> ab, const T* scale, Out<T> h, Out<T> scaled);
// From d_scaled: d_scale[row] = <d_scaled, h> and dab. With scale null d_scaled is that of h.
template <typename T>
void glu_backward(Ops<T>& ops, In<T> d_scaled, In<T> ab, In<T> h, const T* scale, T* d_scale,
                  Out<T> dab);

}  // namespace headgate
