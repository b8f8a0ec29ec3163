// Panels unpacked into registers: what the matrix-vector and matrix-matrix kernels share.
// Everything is static: nothing here may become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/panel.h"

namespace headgate::avx512 {

static inline __m512 half_floats(const uint16_t* h) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(h)));
}

static inline __m512 byte_floats(const uint8_t* b) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b))));
}

static inline __m512 byte_floats(const int8_t* b) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b))));
}

// One group of 32 inputs of a panel, unpacked: unsigned codes of both halves and what turns integer
// sums into values.
struct Group {
  __m512i low[4], high[4];
  __m512 scale;       // of the group, or of the low half
  __m512 scale_high;  // Q6K: of the high half
  __m512 min;         // Q4K, Q5K: subtracted times the sum of the activations
};

// How a format's integer sums become values.
template <typename Panel>
struct Traits;
template <>
struct Traits<PanelQ4K> {
  static constexpr int kOffset = 0;  // subtracted from every code
  static constexpr bool kMins = true, kHalfScales = false;
};
template <>
struct Traits<PanelQ5K> : Traits<PanelQ4K> {};
template <>
struct Traits<PanelQ6K> {
  static constexpr int kOffset = 32;
  static constexpr bool kMins = false, kHalfScales = true;
};
template <>
struct Traits<PanelQ80> {
  static constexpr int kOffset = 128;
  static constexpr bool kMins = false, kHalfScales = false;
};
template <>
struct Traits<PanelQ40> {
  static constexpr int kOffset = 8;
  static constexpr bool kMins = false, kHalfScales = false;
};

static __attribute__((always_inline)) inline void unpack_nibbles(Group& out,
                                                                 const uint8_t (*code)[64]) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int i = 0; i < 4; ++i) {
    const __m512i v = _mm512_loadu_si512(code[i]);
    out.low[i] = _mm512_and_si512(v, mask);
    out.high[i] = _mm512_and_si512(_mm512_srli_epi16(v, 4), mask);
  }
}

template <typename Panel>
static __attribute__((always_inline)) inline void unpack_mins(Group& out, const Panel& p, int g) {
  out.scale = _mm512_mul_ps(half_floats(p.d), byte_floats(p.scale[g]));
  out.min = _mm512_mul_ps(half_floats(p.dmin), byte_floats(p.min[g]));
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ4K& p, int g) {
  unpack_nibbles(out, p.code[g]);
  unpack_mins(out, p, g);
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ5K& p, int g) {
  unpack_nibbles(out, p.code[g]);
  const __m512i bit = _mm512_set1_epi8(16);
  for (int i = 0; i < 4; ++i) {
    uint64_t low, high;
    memcpy(&low, p.high[g][0][i], sizeof low);
    memcpy(&high, p.high[g][1][i], sizeof high);
    out.low[i] = _mm512_mask_add_epi8(out.low[i], low, out.low[i], bit);
    out.high[i] = _mm512_mask_add_epi8(out.high[i], high, out.high[i], bit);
  }
  unpack_mins(out, p, g);
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ6K& p, int g) {
  unpack_nibbles(out, p.code[g]);
  const __m512i mask = _mm512_set1_epi8(0x30);
  const __m512i low = _mm512_loadu_si512(p.high[g][0]), high = _mm512_loadu_si512(p.high[g][1]);
  // Bits 2i and 2i + 1 move to 4 and 5; what crosses into the neighbour byte is masked off.
  const __m512i l[4] = {_mm512_slli_epi16(low, 4), _mm512_slli_epi16(low, 2), low,
                        _mm512_srli_epi16(low, 2)};
  const __m512i h[4] = {_mm512_slli_epi16(high, 4), _mm512_slli_epi16(high, 2), high,
                        _mm512_srli_epi16(high, 2)};
  for (int i = 0; i < 4; ++i) {
    // a | (b & mask)
    out.low[i] = _mm512_ternarylogic_epi32(out.low[i], l[i], mask, 0xf8);
    out.high[i] = _mm512_ternarylogic_epi32(out.high[i], h[i], mask, 0xf8);
  }
  const __m512 d = half_floats(p.d);
  out.scale = _mm512_mul_ps(d, byte_floats(p.scale[2 * g]));
  out.scale_high = _mm512_mul_ps(d, byte_floats(p.scale[2 * g + 1]));
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ80& p, int g) {
  for (int i = 0; i < 4; ++i) {
    out.low[i] = _mm512_loadu_si512(p.code[g][i]);
    out.high[i] = _mm512_loadu_si512(p.code[g][4 + i]);
  }
  out.scale = half_floats(p.d[g]);
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ40& p, int g) {
  unpack_nibbles(out, p.code[g]);
  out.scale = half_floats(p.d[g]);
}

}  // namespace headgate::avx512
