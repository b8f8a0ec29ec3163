// Loops of independent AVX-512 chains, enough of them to hide the latency of each.
#include "kernels/peaks.h"

#include <immintrin.h>

namespace headgate::avx512 {
namespace {

constexpr int kChains = 16;

}  // namespace

float peak_fma(int64_t rounds) {
  __m512 a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) a[i] = _mm512_fmadd_ps(a[i], x, y);
  for (int i = 1; i < kChains; ++i) a[0] = _mm512_add_ps(a[0], a[i]);
  return _mm512_cvtss_f32(a[0]);
}

float peak_int8_dot(int64_t rounds) {
  __m512i a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm512_set1_epi32(i);
  const __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5);
  for (int64_t round = 0; round < rounds; ++round)
    for (int i = 0; i < kChains; ++i) a[i] = _mm512_dpbusd_epi32(a[i], x, y);
  for (int i = 1; i < kChains; ++i) a[0] = _mm512_add_epi32(a[0], a[i]);
  return static_cast<float>(_mm_cvtsi128_si32(_mm512_castsi512_si128(a[0])));
}

}  // namespace headgate::avx512
