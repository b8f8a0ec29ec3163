// Norms of one row, 16 floats at a time; tails are masked.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

float sum_of_squares(const float* x, int64_t n) {
  __m512 a = _mm512_setzero_ps(), b = a;
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m512 u = _mm512_loadu_ps(x + i), v = _mm512_loadu_ps(x + i + 16);
    a = _mm512_fmadd_ps(u, u, a);
    b = _mm512_fmadd_ps(v, v, b);
  }
  for (; i < n; i += 16) {
    const __m512 u = _mm512_maskz_loadu_ps(live_lanes(n - i), x + i);
    a = _mm512_fmadd_ps(u, u, a);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(a, b));
}

}  // namespace

void rms_norm(float* y, const float* x, const float* w, int64_t n, float eps) {
  const float mean = sum_of_squares(x, n) / static_cast<float>(n);
  const __m512 scale = _mm512_set1_ps(1.0f / sqrtf(mean + eps));
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(live, x + i), scale);
    _mm512_mask_storeu_ps(y + i, live, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(live, w + i)));
  }
}

void gated_rms_norm(float* y, const float* x, const float* z, const float* w, int64_t n,
                    float eps) {
  const float mean = sum_of_squares(x, n) / static_cast<float>(n);
  const __m512 scale = _mm512_set1_ps(1.0f / sqrtf(mean + eps));
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(live, x + i), scale);
    const __m512 normed = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(live, w + i));
    const __m512 gate = silu_ps(_mm512_maskz_loadu_ps(live, z + i));
    _mm512_mask_storeu_ps(y + i, live, _mm512_mul_ps(normed, gate));
  }
}

void l2_norm(float* y, const float* x, int64_t n, float scale) {
  const __m512 s = _mm512_set1_ps(scale / sqrtf(sum_of_squares(x, n) + 1e-6f));
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    _mm512_mask_storeu_ps(y + i, live, _mm512_mul_ps(_mm512_maskz_loadu_ps(live, x + i), s));
  }
}

}  // namespace headgate::avx512
