// Activations to int8 with one scale per 32.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {

void quantize(ActivationBlock* blocks, const float* x, int64_t n, int64_t first_group) {
  for (int64_t at = 0, g = first_group; at < n; at += kGroupInputs, ++g) {
    ActivationBlock& block = blocks[g / kBlockGroups];
    const int64_t group = g % kBlockGroups;
    const __m512 a = _mm512_maskz_loadu_ps(live_lanes(n - at), x + at);
    const __mmask16 live_high = n - at > 16 ? live_lanes(n - at - 16) : 0;
    const __m512 b = _mm512_maskz_loadu_ps(live_high, x + at + 16);
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
}

}  // namespace headgate::avx512
