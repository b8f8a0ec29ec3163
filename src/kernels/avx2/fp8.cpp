// Rows of FP8 weights as floats. As fp16, whose exponent is one bit longer, a code moved up by
// seven bits is its value times 2^-8, below the normal range too.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {

void fp8_floats(float* dst, const uint8_t* codes, float scale, int64_t n) {
  const __m256 factor = _mm256_set1_ps(scale * 256.0f);
  const __m128i low = _mm_set1_epi16(0x7f), top = _mm_set1_epi16(static_cast<short>(0x8000));
  for (int64_t i = 0; i < n; i += 8) {
    const int64_t left = n - i;
    uint8_t some[8] = {};
    memcpy(some, codes + i, static_cast<size_t>(left < 8 ? left : 8));
    const __m128i code = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<__m128i*>(some)));
    const __m128i magnitude = _mm_and_si128(code, low);
    const __m128i sign = _mm_and_si128(_mm_slli_epi16(code, 8), top);
    const __m256 value = _mm256_cvtph_ps(_mm_or_si128(sign, _mm_slli_epi16(magnitude, 7)));
    // All bits set are no number.
    const __m256i none = _mm256_cvtepi16_epi32(_mm_cmpeq_epi16(magnitude, low));
    store_some(dst + i, _mm256_or_ps(_mm256_mul_ps(value, factor), _mm256_castsi256_ps(none)),
               left);
  }
}

}  // namespace headgate::avx2
