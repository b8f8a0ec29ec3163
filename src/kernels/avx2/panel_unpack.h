// How packed panels become vectors of codes and scales, format by format: groups of 32 inputs of 8
// outputs, one half (`side`) of a panel. Everything is static: nothing here may become a symbol
// that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/panel.h"

namespace headgate::avx2 {

static inline __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

static inline __m256 half_floats(const uint16_t* h) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(h)));
}

static inline __m256 byte_floats(const uint8_t* b) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b))));
}

static inline __m256 byte_floats(const int8_t* b) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b))));
}

// One group of 32 inputs of 8 outputs, unpacked. Codes of signed formats are signed where
// `is_signed`, else they have 128 added.
struct Group {
  __m256i low[4], high[4];
  __m256 scale;       // of the group, or of the low half
  __m256 scale_high;  // Q6K: of the high half
  __m256 min;         // Q4K, Q5K: subtracted times the sum of the activations
};

static __attribute__((always_inline)) inline void unpack_nibbles(Group& out,
                                                                 const uint8_t (*code)[64],
                                                                 int side) {
  const __m256i mask = _mm256_set1_epi8(15);
  for (int i = 0; i < 4; ++i) {
    const __m256i v = load32(code[i] + 32 * side);
    out.low[i] = _mm256_and_si256(v, mask);
    out.high[i] = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
  }
}

template <typename Panel>
static __attribute__((always_inline)) inline void unpack_mins(Group& out, const Panel& p, int g,
                                                              int side) {
  out.scale = _mm256_mul_ps(half_floats(p.d + 8 * side), byte_floats(p.scale[g] + 8 * side));
  out.min = _mm256_mul_ps(half_floats(p.dmin + 8 * side), byte_floats(p.min[g] + 8 * side));
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ4K& p, int g,
                                                         int side, bool) {
  unpack_nibbles(out, p.code[g], side);
  unpack_mins(out, p, g, side);
}

// 16 in the bytes whose bit of the word at `bits` is set.
static __attribute__((always_inline)) inline __m256i spread_bits(const uint8_t* bits) {
  uint32_t word;
  memcpy(&word, bits, sizeof word);
  const __m256i byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2,
                                        2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
  const __m256i all = _mm256_set1_epi32(static_cast<int32_t>(word));
  const __m256i own = _mm256_and_si256(_mm256_shuffle_epi8(all, byte), bit);
  return _mm256_and_si256(_mm256_cmpeq_epi8(own, bit), _mm256_set1_epi8(16));
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ5K& p, int g,
                                                         int side, bool) {
  unpack_nibbles(out, p.code[g], side);
  for (int i = 0; i < 4; ++i) {
    out.low[i] = _mm256_or_si256(out.low[i], spread_bits(p.high[g][0][i] + 4 * side));
    out.high[i] = _mm256_or_si256(out.high[i], spread_bits(p.high[g][1][i] + 4 * side));
  }
  unpack_mins(out, p, g, side);
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ6K& p, int g,
                                                         int side, bool) {
  unpack_nibbles(out, p.code[g], side);
  const __m256i mask = _mm256_set1_epi8(0x30);
  const __m256i low = load32(p.high[g][0] + 32 * side), high = load32(p.high[g][1] + 32 * side);
  // Bits 2i and 2i + 1 move to 4 and 5; what crosses into the neighbour byte is masked off.
  const __m256i l[4] = {_mm256_slli_epi16(low, 4), _mm256_slli_epi16(low, 2), low,
                        _mm256_srli_epi16(low, 2)};
  const __m256i h[4] = {_mm256_slli_epi16(high, 4), _mm256_slli_epi16(high, 2), high,
                        _mm256_srli_epi16(high, 2)};
  for (int i = 0; i < 4; ++i) {
    out.low[i] = _mm256_or_si256(out.low[i], _mm256_and_si256(l[i], mask));
    out.high[i] = _mm256_or_si256(out.high[i], _mm256_and_si256(h[i], mask));
  }
  const __m256 d = half_floats(p.d + 8 * side);
  out.scale = _mm256_mul_ps(d, byte_floats(p.scale[2 * g] + 8 * side));
  out.scale_high = _mm256_mul_ps(d, byte_floats(p.scale[2 * g + 1] + 8 * side));
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ80& p, int g,
                                                         int side, bool is_signed) {
  const __m256i offset = _mm256_set1_epi8(is_signed ? -128 : 0);
  for (int i = 0; i < 4; ++i) {
    out.low[i] = _mm256_xor_si256(load32(p.code[g][i] + 32 * side), offset);
    out.high[i] = _mm256_xor_si256(load32(p.code[g][4 + i] + 32 * side), offset);
  }
  out.scale = half_floats(p.d[g] + 8 * side);
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelQ40& p, int g,
                                                         int side, bool) {
  unpack_nibbles(out, p.code[g], side);
  out.scale = half_floats(p.d[g] + 8 * side);
}

// Nibbles, looked up.
static __attribute__((always_inline)) inline void look_up(Group& out, const uint8_t (*code)[64],
                                                          int side, __m128i values) {
  unpack_nibbles(out, code, side);
  const __m256i table = _mm256_broadcastsi128_si256(values);
  for (int i = 0; i < 4; ++i) {
    out.low[i] = _mm256_shuffle_epi8(table, out.low[i]);
    out.high[i] = _mm256_shuffle_epi8(table, out.high[i]);
  }
}

// The codebook of tensor/blocks.h.
static __attribute__((always_inline)) inline __m128i codebook(bool is_signed) {
  const __m128i values =
      _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  return is_signed ? values : _mm_xor_si128(values, _mm_set1_epi8(-128));
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelIQ4NL& p, int g,
                                                         int side, bool is_signed) {
  look_up(out, p.code[g], side, codebook(is_signed));
  out.scale = half_floats(p.d[g] + 8 * side);
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelIQ4XS& p, int g,
                                                         int side, bool is_signed) {
  look_up(out, p.code[g], side, codebook(is_signed));
  out.scale = _mm256_mul_ps(half_floats(p.d + 8 * side), byte_floats(p.scale[g] + 8 * side));
}

static __attribute__((always_inline)) inline void unpack(Group& out, const PanelMXFP4& p, int g,
                                                         int side, bool) {
  // Twice the values of E2M1 plus 12.
  look_up(out, p.code[g], side,
          _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  const __m256i e = _mm256_cvtepu8_epi32(
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p.exponent[g] + 8 * side)));
  // 2^(e - 128), which is subnormal below e = 2.
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
  const __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
  const __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
  out.scale = _mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, is_small));
}

}  // namespace headgate::avx2
