// Elementwise operations, 16 floats at a time; tails are masked.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {

void add_scaled(float* y, const float* x, float s, int64_t n) {
  const __m512 scale = _mm512_set1_ps(s);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 sum = _mm512_fmadd_ps(scale, _mm512_maskz_loadu_ps(live, x + i),
                                       _mm512_maskz_loadu_ps(live, y + i));
    _mm512_mask_storeu_ps(y + i, live, sum);
  }
}

void scale_add(float* y, float s, const float* x, float t, int64_t n) {
  const __m512 keep = _mm512_set1_ps(s), take = _mm512_set1_ps(t);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 kept = _mm512_mul_ps(_mm512_maskz_loadu_ps(live, y + i), keep);
    const __m512 in = _mm512_maskz_loadu_ps(live, x + i);
    _mm512_mask_storeu_ps(y + i, live, _mm512_fmadd_ps(in, take, kept));
  }
}

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 g = silu_ps(_mm512_maskz_loadu_ps(live, gate + i));
    _mm512_mask_storeu_ps(y + i, live, _mm512_mul_ps(g, _mm512_maskz_loadu_ps(live, up + i)));
  }
}

void sigmoid_gate(float* y, const float* gate, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 g = sigmoid_ps(_mm512_maskz_loadu_ps(live, gate + i));
    _mm512_mask_storeu_ps(y + i, live, _mm512_mul_ps(g, _mm512_maskz_loadu_ps(live, y + i)));
  }
}

float exp_shifted(float* y, const float* x, int64_t n) {
  const __m512 lowest = _mm512_set1_ps(x[0]);
  __m512 max = lowest;
  for (int64_t i = 0; i < n; i += 16)
    max = _mm512_max_ps(max, _mm512_mask_loadu_ps(lowest, live_lanes(n - i), x + i));
  const __m512 shift = _mm512_set1_ps(_mm512_reduce_max_ps(max));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 e = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(live, x + i), shift));
    _mm512_mask_storeu_ps(y + i, live, e);
    sum = _mm512_mask_add_ps(sum, live, sum, e);
  }
  return _mm512_reduce_add_ps(sum);
}

void rotate_half(float* x, const float* cosines, const float* sines, int64_t half) {
  for (int64_t j = 0; j < half; j += 16) {
    const __mmask16 live = live_lanes(half - j);
    const __m512 a = _mm512_maskz_loadu_ps(live, x + j);
    const __m512 b = _mm512_maskz_loadu_ps(live, x + half + j);
    const __m512 c = _mm512_maskz_loadu_ps(live, cosines + j);
    const __m512 s = _mm512_maskz_loadu_ps(live, sines + j);
    _mm512_mask_storeu_ps(x + j, live, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
    _mm512_mask_storeu_ps(x + half + j, live, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
  }
}

void store_f32(void* dst, const float* x, int64_t n) {
  memcpy(dst, x, static_cast<size_t>(n) * sizeof(float));
}

void store_f16(void* dst, const float* x, int64_t n) {
  auto* out = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m256i h = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(live, x + i),
                                      _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_mask_storeu_epi16(out + i, live, h);
  }
}

void store_bf16(void* dst, const float* x, int64_t n) {
  auto* out = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(live, x + i);
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_mask_storeu_epi16(out + i, live, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
  }
}

uint64_t read_words(const uint64_t* words, int64_t n) {
  __m512i part[4];
  for (int j = 0; j < 4; ++j) part[j] = _mm512_setzero_si512();
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    // A page ahead, where the hardware does not look.
    _mm_prefetch(reinterpret_cast<const char*>(words + i) + 4096, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(words + i) + 4160, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(words + i) + 4224, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(words + i) + 4288, _MM_HINT_T0);
    for (int j = 0; j < 4; ++j)
      part[j] = _mm512_add_epi64(part[j], _mm512_loadu_si512(words + i + 8 * j));
  }
  const __m512i all =
      _mm512_add_epi64(_mm512_add_epi64(part[0], part[1]), _mm512_add_epi64(part[2], part[3]));
  uint64_t lanes[8];
  memcpy(lanes, &all, sizeof lanes);
  uint64_t sum = 0;
  for (int j = 0; j < 8; ++j) sum += lanes[j];
  for (; i < n; ++i) sum += words[i];
  return sum;
}

}  // namespace headgate::avx512
