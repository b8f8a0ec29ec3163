// Depthwise causal convolution and SiLU over documents, forward and backward.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/layout.h"
#include "train/ops.h"

namespace headgate {

// Channels [channel, channel + width) of the flat output come from columns [column, ...) of the
// projection, whose rows are grouped by key head.
struct ConvSegment {
  int64_t column = 0, channel = 0, width = 0;
};

// y[t][c] = silu(u), u = sum_j w[c][j] x[t - taps + 1 + j][c] over tokens of t's document (newest
// tap last). w [channels, taps]; x [tokens, projection], y [tokens, channels].
template <typename T>
void conv_forward(Ops<T>& ops, const BatchLayout& layout, std::span<const ConvSegment> segments,
                  In<T> x, In<T> w, Out<T> y);
// Writes dx (the segments' columns only) and adds to dw. du [tokens, channels] is scratch.
template <typename T>
void conv_backward(Ops<T>& ops, const BatchLayout& layout, std::span<const ConvSegment> segments,
                   In<T> dy, In<T> x, In<T> w, Out<T> du, Out<T> dx, Out<T> dw);

}  // namespace headgate
