// How packed panels become lines of unsigned codes and vectors of scales, format by format.
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

// How a format's integer sums become values: w = scale * (code - kOffset) - min.
template <typename Panel>
struct Traits;
template <>
struct Traits<PanelQ4K> {
  static constexpr int kOffset = 0;
  static constexpr bool kMins = true, kHalfScales = false, kTwoPlanes = false;
};
template <>
struct Traits<PanelQ5K> {
  static constexpr int kOffset = 0;
  static constexpr bool kMins = true, kHalfScales = false, kTwoPlanes = true;
};
template <>
struct Traits<PanelQ6K> {
  static constexpr int kOffset = 32;
  static constexpr bool kMins = false, kHalfScales = true, kTwoPlanes = true;
};
template <>
struct Traits<PanelQ80> {
  static constexpr int kOffset = 128;
  static constexpr bool kMins = false, kHalfScales = false, kTwoPlanes = false;
};
template <>
struct Traits<PanelQ40> {
  static constexpr int kOffset = 8;
  static constexpr bool kMins = false, kHalfScales = false, kTwoPlanes = false;
};

// Codes are looked up and stored with 128 or 12 added, so that they are unsigned.
template <>
struct Traits<PanelIQ4NL> {
  static constexpr int kOffset = 128;
  static constexpr bool kMins = false, kHalfScales = false, kTwoPlanes = false;
};
template <>
struct Traits<PanelIQ4XS> : Traits<PanelIQ4NL> {};
template <>
struct Traits<PanelMXFP4> {
  static constexpr int kOffset = 12;
  static constexpr bool kMins = false, kHalfScales = false, kTwoPlanes = false;
};

// Codes of inputs 32g + 16 half + 4i + j of 16 outputs.
static __attribute__((always_inline)) inline __m512i nibbles(const uint8_t* line, int half) {
  const __m512i v = _mm512_loadu_si512(line);
  return _mm512_and_si512(half == 0 ? v : _mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}

static __attribute__((always_inline)) inline __m512i load_line(const PanelQ4K& p, int g, int half,
                                                               int i) {
  return nibbles(p.code[g][i], half);
}

static __attribute__((always_inline)) inline __m512i load_line(const PanelQ5K& p, int g, int half,
                                                               int i) {
  uint64_t high;
  memcpy(&high, p.high[g][half][i], sizeof high);
  const __m512i low = nibbles(p.code[g][i], half);
  return _mm512_mask_add_epi8(low, high, low, _mm512_set1_epi8(16));
}

static __attribute__((always_inline)) inline __m512i load_line(const PanelQ6K& p, int g, int half,
                                                               int i) {
  const __m512i bits = _mm512_loadu_si512(p.high[g][half]);
  // Bits 2i and 2i + 1 move to 4 and 5; what crosses into the neighbour byte is masked off.
  const __m512i moved = i == 0   ? _mm512_slli_epi16(bits, 4)
                        : i == 1 ? _mm512_slli_epi16(bits, 2)
                        : i == 2 ? bits
                                 : _mm512_srli_epi16(bits, 2);
  // a | (b & mask)
  return _mm512_ternarylogic_epi32(nibbles(p.code[g][i], half), moved, _mm512_set1_epi8(0x30),
                                   0xf8);
}

static __attribute__((always_inline)) inline __m512i load_line(const PanelQ80& p, int g, int half,
                                                               int i) {
  return _mm512_loadu_si512(p.code[g][4 * half + i]);
}

static __attribute__((always_inline)) inline __m512i load_line(const PanelQ40& p, int g, int half,
                                                               int i) {
  return nibbles(p.code[g][i], half);
}

// The codebook of tensor/blocks.h plus 128.
template <typename Panel>
static __attribute__((always_inline)) inline __m512i codebook_line(const Panel& p, int g, int half,
                                                                   int i) {
  const __m512i values = _mm512_broadcast_i32x4(
      _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, static_cast<char>(129), static_cast<char>(141),
                    static_cast<char>(153), static_cast<char>(166), static_cast<char>(181),
                    static_cast<char>(197), static_cast<char>(217), static_cast<char>(241)));
  return _mm512_shuffle_epi8(values, nibbles(p.code[g][i], half));
}

static __attribute__((always_inline)) inline __m512i load_line(const PanelIQ4NL& p, int g, int half,
                                                               int i) {
  return codebook_line(p, g, half, i);
}

static __attribute__((always_inline)) inline __m512i load_line(const PanelIQ4XS& p, int g, int half,
                                                               int i) {
  return codebook_line(p, g, half, i);
}

// Twice the values of E2M1 plus 12.
static __attribute__((always_inline)) inline __m512i load_line(const PanelMXFP4& p, int g, int half,
                                                               int i) {
  const __m512i values = _mm512_broadcast_i32x4(
      _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  return _mm512_shuffle_epi8(values, nibbles(p.code[g][i], half));
}

// Scale of group g, or of its low half.
template <typename Panel>
static __attribute__((always_inline)) inline __m512 scale_of(const Panel& p, int g) {
  return _mm512_mul_ps(half_floats(p.d), byte_floats(p.scale[g]));
}
static __attribute__((always_inline)) inline __m512 scale_of(const PanelQ6K& p, int g) {
  return _mm512_mul_ps(half_floats(p.d), byte_floats(p.scale[2 * g]));
}
static __attribute__((always_inline)) inline __m512 scale_of(const PanelQ80& p, int g) {
  return half_floats(p.d[g]);
}
static __attribute__((always_inline)) inline __m512 scale_of(const PanelQ40& p, int g) {
  return half_floats(p.d[g]);
}

static __attribute__((always_inline)) inline __m512 scale_of(const PanelIQ4NL& p, int g) {
  return half_floats(p.d[g]);
}
// 2^(exponent - 128), subnormals included.
static __attribute__((always_inline)) inline __m512 scale_of(const PanelMXFP4& p, int g) {
  return _mm512_scalef_ps(_mm512_set1_ps(1.0f),
                          _mm512_sub_ps(byte_floats(p.exponent[g]), _mm512_set1_ps(128.0f)));
}

// Scale of the high half of group g, of formats with kHalfScales.
template <typename Panel>
static __attribute__((always_inline)) inline __m512 high_scale_of(const Panel&, int) {
  return _mm512_setzero_ps();
}
static __attribute__((always_inline)) inline __m512 high_scale_of(const PanelQ6K& p, int g) {
  return _mm512_mul_ps(half_floats(p.d), byte_floats(p.scale[2 * g + 1]));
}

// What is subtracted times the sum of the activations, of formats with kMins.
template <typename Panel>
static __attribute__((always_inline)) inline __m512 min_of(const Panel&, int) {
  return _mm512_setzero_ps();
}
static __attribute__((always_inline)) inline __m512 min_of(const PanelQ4K& p, int g) {
  return _mm512_mul_ps(half_floats(p.dmin), byte_floats(p.min[g]));
}
static __attribute__((always_inline)) inline __m512 min_of(const PanelQ5K& p, int g) {
  return _mm512_mul_ps(half_floats(p.dmin), byte_floats(p.min[g]));
}

}  // namespace headgate::avx512
