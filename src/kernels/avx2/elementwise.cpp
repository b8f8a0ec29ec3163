// Elementwise operations, 8 floats at a time.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

// The first `left` (at most 8) numbers of h.
void store_halves(uint16_t* out, __m128i h, int64_t left) {
  if (left >= 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), h);
    return;
  }
  uint16_t all[8];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), h);
  memcpy(out, all, static_cast<size_t>(left) * sizeof(uint16_t));
}

}  // namespace

void add_scaled(float* y, const float* x, float s, int64_t n) {
  const __m256 scale = _mm256_set1_ps(s);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 in = load_some(x + i, n - i);
    store_some(y + i, _mm256_fmadd_ps(scale, in, load_some(y + i, n - i)), n - i);
  }
}

void scale_add(float* y, float s, const float* x, float t, int64_t n) {
  const __m256 keep = _mm256_set1_ps(s), take = _mm256_set1_ps(t);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 kept = _mm256_mul_ps(load_some(y + i, n - i), keep);
    store_some(y + i, _mm256_fmadd_ps(load_some(x + i, n - i), take, kept), n - i);
  }
}

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 g = silu_ps(load_some(gate + i, n - i));
    store_some(y + i, _mm256_mul_ps(g, load_some(up + i, n - i)), n - i);
  }
}

void sigmoid_gate(float* y, const float* gate, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 g = sigmoid_ps(load_some(gate + i, n - i));
    store_some(y + i, _mm256_mul_ps(g, load_some(y + i, n - i)), n - i);
  }
}

float exp_shifted(float* y, const float* x, int64_t n) {
  const __m256 lowest = _mm256_set1_ps(x[0]);
  __m256 max = lowest;
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 live = _mm256_castsi256_ps(live_lanes(n - i));
    max = _mm256_max_ps(max, _mm256_blendv_ps(lowest, load_some(x + i, n - i), live));
  }
  const __m256 shift = _mm256_set1_ps(max_lanes(max));
  __m256 sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 e = exp_ps(_mm256_sub_ps(load_some(x + i, n - i), shift));
    store_some(y + i, e, n - i);
    sum = _mm256_add_ps(sum, _mm256_and_ps(e, _mm256_castsi256_ps(live_lanes(n - i))));
  }
  return sum_lanes(sum);
}

void rotate_half(float* x, const float* cosines, const float* sines, int64_t half) {
  for (int64_t j = 0; j < half; j += 8) {
    const int64_t left = half - j;
    const __m256 a = load_some(x + j, left), b = load_some(x + half + j, left);
    const __m256 c = load_some(cosines + j, left), s = load_some(sines + j, left);
    store_some(x + j, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)), left);
    store_some(x + half + j, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)), left);
  }
}

void store_f32(void* dst, const float* x, int64_t n) {
  memcpy(dst, x, static_cast<size_t>(n) * sizeof(float));
}

void store_f16(void* dst, const float* x, int64_t n) {
  auto* out = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; i += 8) {
    const __m128i h =
        _mm256_cvtps_ph(load_some(x + i, n - i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    store_halves(out + i, h, n - i);
  }
}

void store_bf16(void* dst, const float* x, int64_t n) {
  auto* out = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = load_some(x + i, n - i);
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m128i h =
        _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    store_halves(out + i, h, n - i);
  }
}

uint64_t read_words(const uint64_t* words, int64_t n) {
  __m256i part[4];
  for (int j = 0; j < 4; ++j) part[j] = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    // A page ahead, where the hardware does not look.
    _mm_prefetch(reinterpret_cast<const char*>(words + i) + 4096, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(words + i) + 4160, _MM_HINT_T0);
    for (int j = 0; j < 4; ++j)
      part[j] = _mm256_add_epi64(
          part[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + i + 4 * j)));
  }
  const __m256i all =
      _mm256_add_epi64(_mm256_add_epi64(part[0], part[1]), _mm256_add_epi64(part[2], part[3]));
  uint64_t lanes[4];
  memcpy(lanes, &all, sizeof lanes);
  uint64_t sum = 0;
  for (int j = 0; j < 4; ++j) sum += lanes[j];
  for (; i < n; ++i) sum += words[i];
  return sum;
}

}  // namespace headgate::avx2
