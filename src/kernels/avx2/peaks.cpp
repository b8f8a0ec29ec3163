// Loops of independent AVX2 chains, enough of them to hide the latency of each.
#include "kernels/peaks.h"

#include <immintrin.h>

namespace headgate::avx2 {

float peak_fma(int64_t rounds) {
  constexpr int kChains = 12;
  __m256 a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) a[i] = _mm256_fmadd_ps(a[i], x, y);
  for (int i = 1; i < kChains; ++i) a[0] = _mm256_add_ps(a[0], a[i]);
  return _mm256_cvtss_f32(a[0]);
}

float peak_int8_dot(int64_t rounds) {
  constexpr int kChains = 8;
  __m256i a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm256_set1_epi32(i);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(5);
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kChains; ++i) {
      asm volatile("" : "+x"(x), "+x"(y));  // else the product would be computed once
      a[i] = _mm256_add_epi32(a[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x, y), ones));
    }
  }
  for (int i = 1; i < kChains; ++i) a[0] = _mm256_add_epi32(a[0], a[i]);
  return static_cast<float>(_mm256_cvtsi256_si32(a[0]));
}

}  // namespace headgate::avx2
