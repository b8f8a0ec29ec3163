// How packed panels become right operands of products of bf16 pairs: 32 inputs of 16 outputs make a
// tile of 16 lines, each a pair of inputs of every output. Everything is static: nothing here may
// become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/panel_unpack.h"
#include "kernels/avx512/round_pairs.h"
#include "kernels/panel.h"

namespace headgate::avx512 {

constexpr int64_t kTileBytes = 1024;

// Values of the 16 codes of formats that have no more, before their scale.
template <typename Panel>
static __attribute__((always_inline)) inline __m512 code_values() {
  return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
template <>
__attribute__((always_inline)) inline __m512 code_values<PanelQ40>() {
  return _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
}
template <>
__attribute__((always_inline)) inline __m512 code_values<PanelIQ4NL>() {
  return _mm512_setr_ps(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}
template <>
__attribute__((always_inline)) inline __m512 code_values<PanelIQ4XS>() {
  return code_values<PanelIQ4NL>();
}
template <>
__attribute__((always_inline)) inline __m512 code_values<PanelMXFP4>() {
  return _mm512_setr_ps(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
}

// Group g of a format of 16 codes: a nibble picks its value within its lane.
template <typename Panel>
static __attribute__((always_inline)) inline void expand_nibbles(const Panel& p, int g,
                                                                 uint8_t* to) {
  const __m512 values = code_values<Panel>();
  const __m512 scale = scale_of(p, g), min = min_of(p, g);
  const auto weight = [&](__m512i code) __attribute__((always_inline)) {
    const __m512 value = _mm512_permutexvar_ps(code, values);
    return Traits<Panel>::kMins ? _mm512_fmsub_ps(value, scale, min) : _mm512_mul_ps(value, scale);
  };
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i line = _mm512_loadu_si512(p.code[g][i]);
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const unsigned half = pair / 2, shift = 16u * (pair % 2) + 4 * half;
      const __m512i even = shift == 0 ? line : _mm512_srli_epi32(line, shift);
      const __m512i odd = _mm512_srli_epi32(line, shift + 8);
      _mm512_store_si512(to + 64 * (8 * half + 2 * i + pair % 2),
                         round_pairs(weight(even), weight(odd)));
    }
  }
}

// Group g of a format of wider codes, which lie in the bytes of lanes.
template <typename Panel>
static __attribute__((always_inline)) inline void expand_bytes(const Panel& p, int g, uint8_t* to) {
  using Rule = Traits<Panel>;
  const __m512i byte = _mm512_set1_epi32(255);
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m512 scale = Rule::kHalfScales && half == 1 ? high_scale_of(p, g) : scale_of(p, g);
    // The product with the offset is exact, so the fused sum rounds once.
    const __m512 less =
        Rule::kMins ? min_of(p, g) : _mm512_mul_ps(scale, _mm512_set1_ps(Rule::kOffset));
    const auto weight = [&](__m512i code) __attribute__((always_inline)) {
      return _mm512_fmsub_ps(_mm512_cvtepi32_ps(code), scale, less);
    };
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i line = load_line(p, g, half, i);
      const __m512 w0 = weight(_mm512_and_si512(line, byte));
      const __m512 w1 = weight(_mm512_and_si512(_mm512_srli_epi32(line, 8), byte));
      const __m512 w2 = weight(_mm512_and_si512(_mm512_srli_epi32(line, 16), byte));
      const __m512 w3 = weight(_mm512_srli_epi32(line, 24));
      _mm512_store_si512(to + 64 * (8 * half + 2 * i), round_pairs(w0, w1));
      _mm512_store_si512(to + 64 * (8 * half + 2 * i + 1), round_pairs(w2, w3));
    }
  }
}

template <typename Panel>
static inline void expand_group(const Panel& p, int g, uint8_t* to) {
  expand_nibbles(p, g, to);
}
static inline void expand_group(const PanelQ5K& p, int g, uint8_t* to) { expand_bytes(p, g, to); }
static inline void expand_group(const PanelQ6K& p, int g, uint8_t* to) { expand_bytes(p, g, to); }
static inline void expand_group(const PanelQ80& p, int g, uint8_t* to) { expand_bytes(p, g, to); }

}  // namespace headgate::avx512
