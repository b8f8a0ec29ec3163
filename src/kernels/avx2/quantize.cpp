// Activations to int8 with one scale per 32.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

int32_t sum_integers(__m256i x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

}  // namespace

void quantize(ActivationBlock* blocks, const float* x, int64_t n, int64_t first_group) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (int64_t at = 0, g = first_group; at < n; at += kGroupInputs, ++g) {
    ActivationBlock& block = blocks[g / kBlockGroups];
    const int64_t group = g % kBlockGroups;
    __m256 in[4];
    __m256 largest = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      in[i] = load_some(x + at + 8 * i, n - at - 8 * i);
      largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, in[i]));
    }
    const float max = max_lanes(largest);
    const float scale = max / 127.0f;
    const __m256 inverse = _mm256_set1_ps(max > 0 ? 127.0f / max : 0.0f);
    __m256i code[4];
    for (int i = 0; i < 4; ++i) code[i] = _mm256_cvtps_epi32(_mm256_mul_ps(in[i], inverse));
    const int32_t low_sum = sum_integers(_mm256_add_epi32(code[0], code[1]));
    const int32_t high_sum = sum_integers(_mm256_add_epi32(code[2], code[3]));
    // Packing works in 128-bit lanes; the permutation puts the quarters back in order.
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(code[0], code[1]),
                                             _mm256_packs_epi32(code[2], code[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.code + group * kGroupInputs),
                        _mm256_permutevar8x32_epi32(bytes, order));
    block.scale[group] = scale;
    block.sum[group] = scale * static_cast<float>(low_sum + high_sum);
    block.half[2 * group] = low_sum;
    block.half[2 * group + 1] = high_sum;
  }
}

}  // namespace headgate::avx2
