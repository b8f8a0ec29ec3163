// Causal depthwise convolution with SiLU: taps are transposed once per call, then 8 channels of a
// token are computed at a time.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

constexpr int64_t kChannels = 256;  // at a time
constexpr int64_t kTaps = kMaxConvWidth;

// taps[i][c] = w[c][i].
void transpose_taps(float (*taps)[kChannels], const float* w, int64_t width, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < width; ++i) taps[i][c] = w[c * width + i];
  }
}

}  // namespace

void conv_silu(float* y, int64_t y_stride, const float* x, int64_t x_stride, const float* w,
               int64_t width, float* state, int64_t state_stride, int64_t tokens,
               int64_t channels) {
  const int64_t past = width - 1;
  float taps[kTaps][kChannels] = {};
  for (int64_t first = 0; first < channels; first += kChannels) {
    const int64_t count = channels - first < kChannels ? channels - first : kChannels;
    transpose_taps(taps, w + first * width, width, count);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* in[kTaps];
      for (int64_t i = 0; i < width; ++i) {
        const int64_t from = t - past + i;  // negative: an input of earlier calls
        in[i] = (from < 0 ? state + (from + past) * state_stride : x + from * x_stride) + first;
      }
      for (int64_t c = 0; c < count; c += 8) {
        __m256 sum = _mm256_setzero_ps();
        for (int64_t i = 0; i < width; ++i)
          sum = _mm256_fmadd_ps(_mm256_loadu_ps(taps[i] + c), load_some(in[i] + c, count - c), sum);
        store_some(y + t * y_stride + first + c, silu_ps(sum), count - c);
      }
    }
  }
  for (int64_t i = 0; i < past; ++i) {
    const int64_t from = tokens - past + i;
    const float* row = from < 0 ? state + (from + past) * state_stride : x + from * x_stride;
    for (int64_t c = 0; c < channels; c += 8)
      store_some(state + i * state_stride + c, load_some(row + c, channels - c), channels - c);
  }
}

}  // namespace headgate::avx2
