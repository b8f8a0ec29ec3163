// Rows of FP8 weights as floats. As fp16, whose exponent is one bit longer, a code moved up by
// seven bits is its value times 2^-8, below the normal range too.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {

void fp8_floats(float* dst, const uint8_t* codes, float scale, int64_t n) {
  const __m512 factor = _mm512_set1_ps(scale * 256.0f);
  const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
  const __m256i low = _mm256_set1_epi16(0x7f), top = _mm256_set1_epi16(static_cast<short>(0x8000));
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m256i code = _mm256_cvtepu8_epi16(_mm_maskz_loadu_epi8(live, codes + i));
    const __m256i magnitude = _mm256_and_si256(code, low);
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi16(code, 8), top);
    const __m512 value = _mm512_cvtph_ps(_mm256_or_si256(sign, _mm256_slli_epi16(magnitude, 7)));
    const __mmask16 none = _mm256_cmpeq_epi16_mask(magnitude, low);
    _mm512_mask_storeu_ps(dst + i, live,
                          _mm512_mask_mov_ps(_mm512_mul_ps(value, factor), none, nan));
  }
}

}  // namespace headgate::avx512
