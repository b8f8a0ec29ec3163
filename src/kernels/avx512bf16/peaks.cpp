// A loop of independent bf16 dot products.
#include "kernels/peaks.h"

#include <immintrin.h>

namespace headgate::avx512bf16 {

float peak_bf16_dot(int64_t rounds) {
  constexpr int kChains = 16;
  __m512 a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3c00), y = x;
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) a[i] = _mm512_dpbf16_ps(a[i], x, y);
  for (int i = 1; i < kChains; ++i) a[0] = _mm512_add_ps(a[0], a[i]);
  return _mm512_cvtss_f32(a[0]);
}

}  // namespace headgate::avx512bf16
