// Online softmax over up to 64 cached tokens for up to 8 query rows. Scores are kept as [token][8
// rows], so that maxima, exponentials and sums run over all rows at once.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

// 16 floats, or those below `live` when they are the last of a row.
template <bool full>
__attribute__((always_inline)) inline __m512 load_floats(const float* p, __mmask16 live) {
  return full ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(live, p);
}

template <int F, bool full>
__attribute__((always_inline)) inline __m512 load_cached(const void* base, int64_t i,
                                                         __mmask16 live) {
  if (F == kFloatF32) return load_floats<full>(static_cast<const float*>(base) + i, live);
  const auto* at = static_cast<const uint16_t*>(base) + i;
  const __m256i h = full ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))
                         : _mm256_maskz_loadu_epi16(live, at);
  if (F == kFloatF16) return _mm512_cvtph_ps(h);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

// Adds the 16 lanes of each of 8 vectors; lane r of the result is the sum of x[r].
__m256 sum_each(const __m512 (&x)[8]) {
  __m512 pair[4], quad[2];
  for (int i = 0; i < 4; ++i) {
    pair[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x44),
                            _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xee));
  }
  for (int i = 0; i < 2; ++i) {
    quad[i] = _mm512_add_ps(_mm512_shuffle_f32x4(pair[2 * i], pair[2 * i + 1], 0x88),
                            _mm512_shuffle_f32x4(pair[2 * i], pair[2 * i + 1], 0xdd));
  }
  const __m512 half = _mm512_add_ps(_mm512_shuffle_ps(quad[0], quad[1], 0x88),
                                    _mm512_shuffle_ps(quad[0], quad[1], 0xdd));
  const __m512 whole = _mm512_add_ps(half, _mm512_permute_ps(half, 0xb1));
  // 128-bit lane l holds row l at element 0 and row 4 + l at element 2.
  const __m512i pick = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  return _mm512_castps512_ps256(_mm512_permutexvar_ps(pick, whole));
}

template <int F>
constexpr int64_t kBytes = F == kFloatF32 ? 4 : 2;

// Scores of one key: lane r is the dot product with query row r. With `stream` the cache comes from
// memory: later keys, and this token's value for the second pass, are fetched ahead.
template <int F, int R, bool stream>
__m256 score_key(const AttentionArgs& a, int64_t t) {
  constexpr int64_t kAhead = 24;  // tokens
  const char* key = static_cast<const char*>(a.keys) + t * a.head_dim * kBytes<F>;
  const char* value = static_cast<const char*>(a.values) + t * a.head_dim * kBytes<F>;
  __m512 sum[8];
  for (int r = 0; r < 8; ++r) sum[r] = _mm512_setzero_ps();
  int64_t d = 0;
  for (; d + 16 <= a.head_dim; d += 16) {
    if (stream) {
      _mm_prefetch(key + (kAhead * a.head_dim + d) * kBytes<F>, _MM_HINT_T0);
      _mm_prefetch(value + d * kBytes<F>, _MM_HINT_T0);
    }
    const __m512 k = load_cached<F, true>(key, d, 0);
    for (int r = 0; r < R; ++r) sum[r] = _mm512_fmadd_ps(k, _mm512_loadu_ps(a.q[r] + d), sum[r]);
  }
  if (d < a.head_dim) {
    const __mmask16 live = live_lanes(a.head_dim - d);
    const __m512 k = load_cached<F, false>(key, d, live);
    for (int r = 0; r < R; ++r)
      sum[r] = _mm512_fmadd_ps(k, _mm512_maskz_loadu_ps(live, a.q[r] + d), sum[r]);
  }
  return sum_each(sum);
}

// out = out * kept + sum over tokens of p * value, for 32 dims from d on.
template <int F, int R, bool full>
void add_values(const AttentionArgs& a, const float (*p)[8], const float* kept, int64_t tokens,
                int64_t d) {
  const __mmask16 live = full ? 0xffff : live_lanes(a.head_dim - d);
  const __mmask16 live_high =
      full ? 0xffff : (a.head_dim - d > 16 ? live_lanes(a.head_dim - d - 16) : 0);
  __m512 low[R], high[R];
  for (int r = 0; r < R; ++r) {
    const __m512 factor = _mm512_set1_ps(kept[r]);
    low[r] = _mm512_mul_ps(load_floats<full>(a.out[r] + d, live), factor);
    high[r] = _mm512_mul_ps(load_floats<full>(a.out[r] + d + 16, live_high), factor);
  }
  const char* value = static_cast<const char*>(a.values);
  for (int64_t t = 0; t < tokens; ++t, value += a.head_dim * kBytes<F>) {
    const __m512 v = load_cached<F, full>(value, d, live);
    const __m512 w = load_cached<F, full>(value, d + 16, live_high);
    for (int r = 0; r < R; ++r) {
      const __m512 weight = _mm512_set1_ps(p[t][r]);
      low[r] = _mm512_fmadd_ps(weight, v, low[r]);
      high[r] = _mm512_fmadd_ps(weight, w, high[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    _mm512_mask_storeu_ps(a.out[r] + d, live, low[r]);
    _mm512_mask_storeu_ps(a.out[r] + d + 16, live_high, high[r]);
  }
}

template <int F, int R>
void attend(const AttentionArgs& a, int64_t tokens) {
  alignas(64) float score[kAttentionTokens][8];
  const __mmask8 rows = static_cast<__mmask8>((1u << R) - 1);
  alignas(32) int32_t visible_rows[8] = {};
  for (int r = 0; r < R; ++r) visible_rows[r] = static_cast<int32_t>(a.visible[r]);
  const __m256i visible = _mm256_load_si256(reinterpret_cast<const __m256i*>(visible_rows));
  const __m256 nothing = _mm256_set1_ps(-INFINITY), scale = _mm256_set1_ps(a.scale);
  const __m256 old_max = _mm256_mask_loadu_ps(nothing, rows, a.max);
  __m256 max = old_max;
  for (int64_t t = 0; t < tokens; ++t) {
    const __mmask8 seen =
        _mm256_cmpgt_epi32_mask(visible, _mm256_set1_epi32(static_cast<int32_t>(t)));
    const __m256 s = _mm256_mask_mul_ps(
        nothing, seen, a.stream ? score_key<F, R, true>(a, t) : score_key<F, R, false>(a, t),
        scale);
    _mm256_store_ps(score[t], s);
    max = _mm256_max_ps(max, s);
  }
  // Rows that have seen nothing yet stay at -inf; their differences would be NaN.
  const __mmask8 some = _mm256_cmp_ps_mask(max, nothing, _CMP_GT_OQ);
  const __m256 keep = _mm512_castps512_ps256(
      exp_ps(_mm512_castps256_ps512(_mm256_maskz_sub_ps(some, old_max, max))));
  __m256 total = _mm256_mul_ps(_mm256_maskz_loadu_ps(rows, a.sum), keep);
  for (int64_t t = 0; t < tokens; ++t) {
    const __mmask8 seen =
        some & _mm256_cmpgt_epi32_mask(visible, _mm256_set1_epi32(static_cast<int32_t>(t)));
    const __m256 shifted = _mm256_sub_ps(_mm256_load_ps(score[t]), max);
    const __m256 p =
        _mm256_maskz_mov_ps(seen, _mm512_castps512_ps256(exp_ps(_mm512_castps256_ps512(shifted))));
    _mm256_store_ps(score[t], p);
    total = _mm256_add_ps(total, p);
  }
  _mm256_mask_storeu_ps(a.max, rows, max);
  _mm256_mask_storeu_ps(a.sum, rows, total);
  alignas(32) float kept[8];
  _mm256_store_ps(kept, keep);
  int64_t d = 0;
  for (; d + 32 <= a.head_dim; d += 32) add_values<F, R, true>(a, score, kept, tokens, d);
  if (d < a.head_dim) add_values<F, R, false>(a, score, kept, tokens, d);
}

template <int F>
void attend_rows(const AttentionArgs& a) {
  // Beyond the last visible token the cache may hold anything.
  int64_t tokens = 0;
  for (int64_t r = 0; r < a.rows; ++r) tokens = a.visible[r] > tokens ? a.visible[r] : tokens;
  switch (a.rows) {
    case 1:
      return attend<F, 1>(a, tokens);
    case 2:
      return attend<F, 2>(a, tokens);
    case 3:
      return attend<F, 3>(a, tokens);
    case 4:
      return attend<F, 4>(a, tokens);
    case 5:
      return attend<F, 5>(a, tokens);
    case 6:
      return attend<F, 6>(a, tokens);
    case 7:
      return attend<F, 7>(a, tokens);
    default:
      return attend<F, 8>(a, tokens);
  }
}

}  // namespace

void attention_block_f32(const AttentionArgs& args) { attend_rows<kFloatF32>(args); }
void attention_block_f16(const AttentionArgs& args) { attend_rows<kFloatF16>(args); }
void attention_block_bf16(const AttentionArgs& args) { attend_rows<kFloatBF16>(args); }

}  // namespace headgate::avx512
