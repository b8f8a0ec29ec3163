// A loop of independent byte dot products in vectors of 32 bytes.
#include "kernels/peaks.h"

#include <immintrin.h>

namespace headgate::avxvnni {

float peak_int8_dot(int64_t rounds) {
  constexpr int kChains = 12;
  __m256i a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm256_set1_epi32(i);
  const __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(5);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) a[i] = _mm256_dpbusd_avx_epi32(a[i], x, y);
  for (int i = 1; i < kChains; ++i) a[0] = _mm256_add_epi32(a[0], a[i]);
  return static_cast<float>(_mm256_cvtsi256_si32(a[0]));
}

}  // namespace headgate::avxvnni
