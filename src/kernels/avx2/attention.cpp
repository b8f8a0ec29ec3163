// Online softmax over up to 64 cached tokens, 4 query rows at a time. Scores are kept as [token][4
// rows], so that maxima, exponentials and sums run over all rows at once.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

constexpr int kRows = 4;

template <int F>
__m256 load_cached(const void* base, int64_t i, int64_t left) {
  if (F == kFloatF32) return load_some(static_cast<const float*>(base) + i, left);
  const __m128i h = load_some(static_cast<const uint16_t*>(base) + i, left);
  return F == kFloatF16 ? _mm256_cvtph_ps(h) : bf16_floats(h);
}

// Adds the 8 lanes of each of 4 vectors; lane r of the result is the sum of x[r].
__m128 sum_each(const __m256 (&x)[kRows]) {
  const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
  return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

__m128 exp4(__m128 x) { return _mm256_castps256_ps128(exp_ps(_mm256_castps128_ps256(x))); }

// Rows [first, first + R) of the task.
template <int F, int R>
void attend(const AttentionArgs& a, int64_t first, int64_t tokens) {
  const int64_t size = F == kFloatF32 ? 4 : 2;
  alignas(16) float score[kAttentionTokens][kRows];
  alignas(16) int32_t visible_rows[kRows] = {};
  alignas(16) float state[kRows] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
  alignas(16) float sums[kRows] = {};
  for (int r = 0; r < R; ++r) {
    visible_rows[r] = static_cast<int32_t>(a.visible[first + r]);
    state[r] = a.max[first + r];
    sums[r] = a.sum[first + r];
  }
  const __m128i visible = _mm_load_si128(reinterpret_cast<const __m128i*>(visible_rows));
  const __m128 nothing = _mm_set1_ps(-INFINITY), scale = _mm_set1_ps(a.scale);
  const __m128 old_max = _mm_load_ps(state);
  __m128 max = old_max;
  for (int64_t t = 0; t < tokens; ++t) {
    const char* key = static_cast<const char*>(a.keys) + t * a.head_dim * size;
    __m256 sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = _mm256_setzero_ps();
    for (int64_t d = 0; d < a.head_dim; d += 8) {
      const __m256 k = load_cached<F>(key, d, a.head_dim - d);
      for (int r = 0; r < R; ++r) {
        const __m256 q = load_some(a.q[first + r] + d, a.head_dim - d);
        sum[r] = _mm256_fmadd_ps(k, q, sum[r]);
      }
    }
    const __m128i seen = _mm_cmpgt_epi32(visible, _mm_set1_epi32(static_cast<int32_t>(t)));
    const __m128 s =
        _mm_blendv_ps(nothing, _mm_mul_ps(sum_each(sum), scale), _mm_castsi128_ps(seen));
    _mm_store_ps(score[t], s);
    max = _mm_max_ps(max, s);
  }
  // Rows that have seen nothing yet stay at -inf; their differences would be NaN.
  const __m128 some = _mm_cmpgt_ps(max, nothing);
  const __m128 keep = exp4(_mm_and_ps(some, _mm_sub_ps(old_max, max)));
  __m128 total = _mm_mul_ps(_mm_load_ps(sums), keep);
  for (int64_t t = 0; t < tokens; ++t) {
    const __m128i seen = _mm_cmpgt_epi32(visible, _mm_set1_epi32(static_cast<int32_t>(t)));
    const __m128 live = _mm_and_ps(some, _mm_castsi128_ps(seen));
    const __m128 p = _mm_and_ps(live, exp4(_mm_sub_ps(_mm_load_ps(score[t]), max)));
    _mm_store_ps(score[t], p);
    total = _mm_add_ps(total, p);
  }
  alignas(16) float kept[kRows];
  _mm_store_ps(kept, keep);
  _mm_store_ps(state, max);
  _mm_store_ps(sums, total);
  for (int r = 0; r < R; ++r) {
    a.max[first + r] = state[r];
    a.sum[first + r] = sums[r];
  }
  for (int64_t d = 0; d < a.head_dim; d += 16) {
    const int64_t left = a.head_dim - d, left_high = left > 8 ? left - 8 : 0;
    __m256 low[R], high[R];
    for (int r = 0; r < R; ++r) {
      const __m256 factor = _mm256_set1_ps(kept[r]);
      low[r] = _mm256_mul_ps(load_some(a.out[first + r] + d, left), factor);
      high[r] = _mm256_mul_ps(load_some(a.out[first + r] + d + 8, left_high), factor);
    }
    for (int64_t t = 0; t < tokens; ++t) {
      const char* value = static_cast<const char*>(a.values) + t * a.head_dim * size;
      const __m256 v = load_cached<F>(value, d, left);
      const __m256 w = load_cached<F>(value, d + 8, left_high);
      for (int r = 0; r < R; ++r) {
        const __m256 p = _mm256_set1_ps(score[t][r]);
        low[r] = _mm256_fmadd_ps(p, v, low[r]);
        high[r] = _mm256_fmadd_ps(p, w, high[r]);
      }
    }
    for (int r = 0; r < R; ++r) {
      store_some(a.out[first + r] + d, low[r], left);
      store_some(a.out[first + r] + d + 8, high[r], left_high);
    }
  }
}

template <int F>
void attend_rows(const AttentionArgs& a) {
  // Beyond the last visible token the cache may hold anything.
  int64_t tokens = 0;
  for (int64_t r = 0; r < a.rows; ++r) tokens = a.visible[r] > tokens ? a.visible[r] : tokens;
  int64_t r = 0;
  for (; r + kRows <= a.rows; r += kRows) attend<F, kRows>(a, r, tokens);
  switch (a.rows - r) {
    case 3:
      return attend<F, 3>(a, r, tokens);
    case 2:
      return attend<F, 2>(a, r, tokens);
    case 1:
      return attend<F, 1>(a, r, tokens);
    default:
      return;
  }
}

}  // namespace

void attention_block_f32(const AttentionArgs& args) { attend_rows<kFloatF32>(args); }
void attention_block_f16(const AttentionArgs& args) { attend_rows<kFloatF16>(args); }
void attention_block_bf16(const AttentionArgs& args) { attend_rows<kFloatBF16>(args); }

}  // namespace headgate::avx2
