// Norms of one row, 8 floats at a time.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

float sum_of_squares(const float* x, int64_t n) {
  __m256 a = _mm256_setzero_ps(), b = a;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256 u = _mm256_loadu_ps(x + i), v = _mm256_loadu_ps(x + i + 8);
    a = _mm256_fmadd_ps(u, u, a);
    b = _mm256_fmadd_ps(v, v, b);
  }
  for (; i < n; i += 8) {
    const __m256 u = load_some(x + i, n - i);
    a = _mm256_fmadd_ps(u, u, a);
  }
  return sum_lanes(_mm256_add_ps(a, b));
}

}  // namespace

void rms_norm(float* y, const float* x, const float* w, int64_t n, float eps) {
  const float mean = sum_of_squares(x, n) / static_cast<float>(n);
  const __m256 scale = _mm256_set1_ps(1.0f / sqrtf(mean + eps));
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = _mm256_mul_ps(load_some(x + i, n - i), scale);
    store_some(y + i, _mm256_mul_ps(v, load_some(w + i, n - i)), n - i);
  }
}

void gated_rms_norm(float* y, const float* x, const float* z, const float* w, int64_t n,
                    float eps) {
  const float mean = sum_of_squares(x, n) / static_cast<float>(n);
  const __m256 scale = _mm256_set1_ps(1.0f / sqrtf(mean + eps));
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = _mm256_mul_ps(load_some(x + i, n - i), scale);
    const __m256 normed = _mm256_mul_ps(v, load_some(w + i, n - i));
    store_some(y + i, _mm256_mul_ps(normed, silu_ps(load_some(z + i, n - i))), n - i);
  }
}

void l2_norm(float* y, const float* x, int64_t n, float scale) {
  const __m256 s = _mm256_set1_ps(scale / sqrtf(sum_of_squares(x, n) + 1e-6f));
  for (int64_t i = 0; i < n; i += 8)
    store_some(y + i, _mm256_mul_ps(load_some(x + i, n - i), s), n - i);
}

}  // namespace headgate::avx2
