// Convolution: taps are rows of a transposed weight, so that channels are the inner loop.
#include "train/layers/conv.h"

#include <algorithm>

#include "train/layers/activations.h"

namespace headgate {
namespace {

// Taps of token t that reach back inside its document: shifts 0..result-1.
int64_t reach(const BatchLayout& layout, int64_t t, int64_t taps) {
  return std::min(taps, t - layout.first[static_cast<size_t>(t)] + 1);
}

// w [channels, taps] -> [taps, channels].
template <typename T>
std::vector<T> by_tap(In<T> w) {
  std::vector<T> out(static_cast<size_t>(w.rows * w.cols));
  for (int64_t c = 0; c < w.rows; ++c) {
    for (int64_t j = 0; j < w.cols; ++j) out[static_cast<size_t>(j * w.rows + c)] = w.row(c)[j];
  }
  return out;
}

// u of one token, into `u` [channels].
template <typename T>
void convolve(const BatchLayout& layout, std::span<const ConvSegment> segments, In<T> x,
              const std::vector<T>& taps, int64_t width, int64_t channels, int64_t t, T* u) {
  std::fill(u, u + channels, T(0));
  for (int64_t back = reach(layout, t, width) - 1; back >= 0; --back) {
    const T* w = taps.data() + (width - 1 - back) * channels;
    for (const ConvSegment& s : segments) {
      const T* in = x.row(t - back) + s.column;
      multiply_add(u + s.channel, w + s.channel, in, s.width);
    }
  }
}

}  // namespace

template <typename T>
void conv_forward(Ops<T>& ops, const BatchLayout& layout, std::span<const ConvSegment> segments,
                  In<T> x, In<T> w, Out<T> y) {
  const std::vector<T> taps = by_tap(w);
  const std::vector<T> ones(static_cast<size_t>(w.rows), T(1));
  ops.rows(layout.size(), [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      T* u = y.row(t);
      convolve(layout, segments, x, taps, w.cols, w.rows, t, u);
      silu_times(u, ones.data(), w.rows, u);
    }
  });
}

template <typename T>
void conv_backward(Ops<T>& ops, const BatchLayout& layout, std::span<const ConvSegment> segments,
                   In<T> dy, In<T> x, In<T> w, Out<T> du, Out<T> dx, Out<T> dw) {
  const std::vector<T> taps = by_tap(w);
  const int64_t channels = w.rows, width = w.cols;
  std::vector<T> sums(static_cast<size_t>(channels * width), T(0));
  ops.reduce_rows(layout.size(), channels * width, sums.data(),
                  [&](int64_t first, int64_t count, T* partial) {
                    std::vector<T> scratch(static_cast<size_t>(2 * channels));
                    T *u = scratch.data(), *slope = u + channels;
                    for (int64_t t = first; t < first + count; ++t) {
                      convolve(layout, segments, x, taps, width, channels, t, u);
                      silu_and_slope(u, channels, u, slope);
                      T* out = du.row(t);
                      for (int64_t c = 0; c < channels; ++c) out[c] = dy.row(t)[c] * slope[c];
                      for (int64_t back = reach(layout, t, width) - 1; back >= 0; --back) {
                        T* sum = partial + (width - 1 - back) * channels;
                        for (const ConvSegment& s : segments) {
                          const T* in = x.row(t - back) + s.column;
                          multiply_add(sum + s.channel, out + s.channel, in, s.width);
                        }
                      }
                    }
                  });
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t j = 0; j < width; ++j) {
      dw.row(c)[j] += sums[static_cast<size_t>(j * channels + c)];
    }
  }
  ops.rows(layout.size(), [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (const ConvSegment& s : segments) {
        T* out = dx.row(t) + s.column;
        std::fill(out, out + s.width, T(0));
        for (int64_t ahead = 0; ahead < width; ++ahead) {
          if (ahead > 0 && !layout.has(t, ahead)) break;
          const T* grad = du.row(t + ahead) + s.channel;
          const T* tap = taps.data() + (width - 1 - ahead) * channels + s.channel;
          multiply_add(out, grad, tap, s.width);
        }
      }
    }
  });
}

#define HEADGATE_CONV(T)                                                                           \
  template void conv_forward<T>(Ops<T>&, const BatchLayout&, std::span<const ConvSegment>, In<T>,  \
                                In<T>, Out<T>);                                                    \
  template void conv_backward<T>(Ops<T>&, const BatchLayout&, std::span<const ConvSegment>, In<T>, \
                                 In<T>, In<T>, Out<T>, Out<T>, Out<T>);
HEADGATE_CONV(float)
HEADGATE_CONV(double)
#undef HEADGATE_CONV

}  // namespace headgate
