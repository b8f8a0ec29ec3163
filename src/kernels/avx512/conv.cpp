// Causal depthwise convolution with SiLU: taps are transposed once per call, then 16 channels of a
// token are computed at a time.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

constexpr int64_t kChannels = 256;  // at a time
constexpr int64_t kTaps = kMaxConvWidth;

// taps[i][c] = w[c][i].
void transpose_taps(float (*taps)[kChannels], const float* w, int64_t width, int64_t channels) {
  if (width == 4 && channels % 16 == 0) {
    const __m512i pick = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
    for (int64_t c = 0; c < channels; c += 16) {
      const __m512 a = _mm512_loadu_ps(w + 4 * c), b = _mm512_loadu_ps(w + 4 * c + 16);
      const __m512 d = _mm512_loadu_ps(w + 4 * c + 32), e = _mm512_loadu_ps(w + 4 * c + 48);
      for (int i = 0; i < 4; ++i) {
        const __m512i index = _mm512_add_epi32(pick, _mm512_set1_epi32(i));
        const __m512 low = _mm512_permutex2var_ps(a, index, b);
        const __m512 high = _mm512_permutex2var_ps(d, index, e);
        _mm512_storeu_ps(taps[i] + c, _mm512_shuffle_f32x4(low, high, 0x44));
      }
    }
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < width; ++i) taps[i][c] = w[c * width + i];
  }
}

}  // namespace

void conv_silu(float* y, int64_t y_stride, const float* x, int64_t x_stride, const float* w,
               int64_t width, float* state, int64_t state_stride, int64_t tokens,
               int64_t channels) {
  const int64_t past = width - 1;
  float taps[kTaps][kChannels];
  for (int64_t first = 0; first < channels; first += kChannels) {
    const int64_t count = channels - first < kChannels ? channels - first : kChannels;
    transpose_taps(taps, w + first * width, width, count);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* in[kTaps];
      for (int64_t i = 0; i < width; ++i) {
        const int64_t from = t - past + i;  // negative: an input of earlier calls
        in[i] = (from < 0 ? state + (from + past) * state_stride : x + from * x_stride) + first;
      }
      for (int64_t c = 0; c < count; c += 16) {
        const __mmask16 live = live_lanes(count - c);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t i = 0; i < width; ++i) {
          sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(live, taps[i] + c),
                                _mm512_maskz_loadu_ps(live, in[i] + c), sum);
        }
        _mm512_mask_storeu_ps(y + t * y_stride + first + c, live, silu_ps(sum));
      }
    }
  }
  for (int64_t i = 0; i < past; ++i) {
    const int64_t from = tokens - past + i;
    const float* row = from < 0 ? state + (from + past) * state_stride : x + from * x_stride;
    for (int64_t c = 0; c < channels; c += 16) {
      const __mmask16 live = live_lanes(channels - c);
      _mm512_mask_storeu_ps(state + i * state_stride + c, live,
                            _mm512_maskz_loadu_ps(live, row + c));
    }
  }
}

}  // namespace headgate::avx512
