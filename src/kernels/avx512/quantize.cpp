// Activations to int8 with one scale per 32.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {

namespace {

// Group `group` of a block from up to 32 values.
void quantize_one(ActivationBlock& block, const float* x, int64_t n, int64_t group) {
  const __m512 a = _mm512_maskz_loadu_ps(live_lanes(n), x);
  const __mmask16 live_high = n > 16 ? live_lanes(n - 16) : 0;
  const __m512 b = _mm512_maskz_loadu_ps(live_high, x + 16);
  const float max = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
  const float scale = max / 127.0f;
  const __m512 inverse = _mm512_set1_ps(max > 0 ? 127.0f / max : 0.0f);
  const __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
  const __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  auto* codes = reinterpret_cast<__m128i*>(block.code + group * kGroupInputs);
  _mm_storeu_si128(codes, _mm512_cvtsepi32_epi8(low));
  _mm_storeu_si128(codes + 1, _mm512_cvtsepi32_epi8(high));
  const int32_t low_sum = _mm512_reduce_add_epi32(low);
  const int32_t high_sum = _mm512_reduce_add_epi32(high);
  block.scale[group] = scale;
  block.sum[group] = scale * static_cast<float>(low_sum + high_sum);
  block.half[2 * group] = low_sum;
  block.half[2 * group + 1] = high_sum;
}

// The largest lane of each of four vectors, four times over.
__m512 largest(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_max_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  __m512 all = _mm512_max_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
  all = _mm512_max_ps(all, _mm512_shuffle_f32x4(all, all, 0x4e));
  return _mm512_max_ps(all, _mm512_shuffle_f32x4(all, all, 0xb1));
}

// Sums of 16 codes each, in all lanes of their quarter.
__m512i half_sums(__m512i codes) {
  __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), codes);
  sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_BADC));
  return _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_CDAB));
}

// Groups [group, group + 4) of a block from 128 values, with the bits of quantize_one.
void quantize_four(ActivationBlock& block, const float* x, int64_t group) {
  __m512 in[8], most[4];
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
    in[2 * g] = _mm512_loadu_ps(x + 32 * g);
    in[2 * g + 1] = _mm512_loadu_ps(x + 32 * g + 16);
    most[g] = _mm512_max_ps(_mm512_abs_ps(in[2 * g]), _mm512_abs_ps(in[2 * g + 1]));
  }
  const __m512 max = largest(most[0], most[1], most[2], most[3]);
  const __m128 scale = _mm_div_ps(_mm512_castps512_ps128(max), _mm_set1_ps(127.0f));
  const __mmask16 some = _mm512_cmp_ps_mask(max, _mm512_setzero_ps(), _CMP_GT_OQ);
  const __m512 inverse = _mm512_maskz_div_ps(some, _mm512_set1_ps(127.0f), max);
  __m512i code[8];
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
    const __m512 by = _mm512_permutexvar_ps(_mm512_set1_epi32(g), inverse);
    code[2 * g] = _mm512_cvtps_epi32(_mm512_mul_ps(in[2 * g], by));
    code[2 * g + 1] = _mm512_cvtps_epi32(_mm512_mul_ps(in[2 * g + 1], by));
  }
  // Packing works within quarters: words of four inputs, in turns from the four vectors.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i sum[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512i* c = code + 4 * i;
    const __m512i bytes =
        _mm512_packs_epi16(_mm512_packs_epi32(c[0], c[1]), _mm512_packs_epi32(c[2], c[3]));
    const __m512i ordered = _mm512_permutexvar_epi32(order, bytes);
    _mm512_storeu_si512(block.code + (group + 2 * i) * kGroupInputs, ordered);
    sum[i] = half_sums(ordered);
  }
  const __m512i pick = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i halves = _mm512_castsi512_si256(_mm512_permutex2var_epi32(sum[0], pick, sum[1]));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.half + 2 * group), halves);
  const __m256i pairs = _mm256_add_epi32(halves, _mm256_shuffle_epi32(halves, 0xb1));
  const __m128i groups = _mm256_castsi256_si128(
      _mm256_permutevar8x32_epi32(pairs, _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0)));
  _mm_storeu_ps(block.scale + group, scale);
  _mm_storeu_ps(block.sum + group, _mm_mul_ps(scale, _mm_cvtepi32_ps(groups)));
}

}  // namespace

void quantize(ActivationBlock* blocks, const float* x, int64_t n, int64_t first_group) {
  for (int64_t at = 0; at < n;) {
    const int64_t g = first_group + at / kGroupInputs;
    ActivationBlock& block = blocks[g / kBlockGroups];
    const int64_t group = g % kBlockGroups;
    if (group % 4 == 0 && n - at >= 4 * kGroupInputs) {
      quantize_four(block, x + at, group);
      at += 4 * kGroupInputs;
    } else {
      quantize_one(block, x + at, n - at, group);
      at += kGroupInputs;
    }
  }
}

}  // namespace headgate::avx512
