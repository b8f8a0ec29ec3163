// What the AVX2 attention kernels share: turning scores into weights, and going over rows.
// Everything is static: nothing here may become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/avx2/vector.h"
#include "kernels/kernel_table.h"

namespace headgate::avx2 {

// 2^x for x <= 0 within 2 ulp; 0 below -126.
static inline __m256 exp2_ps(__m256 x) {
  const __m256 lowest = _mm256_set1_ps(-126.0f);
  const __m256 normal = _mm256_cmp_ps(x, lowest, _CMP_GE_OQ);
  x = _mm256_max_ps(x, lowest);
  const __m256 n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 r = _mm256_sub_ps(x, n);
  __m256 p = _mm256_set1_ps(1.5403530393e-4f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3333558146e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(9.6181291076e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.5504108665e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.4022650696e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(6.9314718056e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_and_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), normal);
}

static inline int64_t padded_tokens(const AttentionArgs& a) {
  return (a.tokens + kKvStep - 1) / kKvStep * kKvStep;
}

static inline const char* key_tile(const AttentionArgs& a, int64_t token) {
  return static_cast<const char*>(a.keys) + token / kKvColumns * a.key_stride;
}

static inline const char* value_tile(const AttentionArgs& a, int64_t dim) {
  return static_cast<const char*>(a.values) + dim / kKvColumns * a.value_stride;
}

// Scores of each row become weights 2^(score - max) in place, zero from its visible tokens on.
static inline void soften_rows(const AttentionArgs& a) {
  const __m256 nothing = _mm256_set1_ps(-INFINITY);
  for (int64_t r = 0; r < a.rows; ++r) {
    float* score = static_cast<float*>(a.scratch) + r * kKvSegment;
    const int64_t visible = a.visible[r], padded = padded_tokens(a);
    __m256 most = nothing;
    for (int64_t t = 0; t < visible; t += 8) {
      const __m256 live = _mm256_castsi256_ps(live_lanes(visible - t));
      most = _mm256_max_ps(most, _mm256_blendv_ps(nothing, _mm256_loadu_ps(score + t), live));
    }
    const float max = max_lanes(most);
    __m256 sum = _mm256_setzero_ps();
    int64_t t = 0;
    for (; t < visible; t += 8) {
      const __m256 live = _mm256_castsi256_ps(live_lanes(visible - t));
      const __m256 x = _mm256_and_ps(_mm256_loadu_ps(score + t), live);
      const __m256 p = _mm256_and_ps(exp2_ps(_mm256_sub_ps(x, _mm256_set1_ps(max))), live);
      _mm256_storeu_ps(score + t, p);
      sum = _mm256_add_ps(sum, p);
    }
    for (; t < padded; t += 8) _mm256_storeu_ps(score + t, _mm256_setzero_ps());
    a.max[r] = max;
    a.sum[r] = sum_lanes(sum);
  }
}

template <int R>
struct Rows {
  static constexpr int count = R;
};

// op(Rows<R>, first row) for all rows, four at a time and then the rest.
template <typename Op>
static inline void by_rows(int64_t rows, const Op& op) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) op(Rows<4>{}, row);
  if (rows - row >= 2) {
    op(Rows<2>{}, row);
    row += 2;
  }
  if (rows > row) op(Rows<1>{}, row);
}

}  // namespace headgate::avx2
