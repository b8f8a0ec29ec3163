// A group of 32 inputs of packed panels times int8 activations with VNNI: a line of 16 outputs x 4
// inputs meets 4 activations broadcast to all lanes. A lane is an output, so nothing is ever added
// across lanes. Everything is static: nothing here may become a symbol that other levels could be
// linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx512/panel_unpack.h"
#include "kernels/panel.h"

namespace headgate::avx512 {

// The scales of a group of one panel.
struct GroupScales {
  __m512 low, high, min;
};

// The scales of a block as floats, for rows enough to make them once.
struct BlockScales {
  alignas(64) float low[8][16], high[8][16], min[8][16];
};

template <typename Panel>
static __attribute__((always_inline)) inline void load_scales(BlockScales& to, const Panel& p) {
  for (int g = 0; g < 8; ++g) {
    _mm512_store_ps(to.low[g], scale_of(p, g));
    if (Traits<Panel>::kHalfScales) _mm512_store_ps(to.high[g], high_scale_of(p, g));
    if (Traits<Panel>::kMins) _mm512_store_ps(to.min[g], min_of(p, g));
  }
}

// From `made`, or from the panel itself where `made` is null.
template <typename Panel>
static __attribute__((always_inline)) inline GroupScales group_scales(const Panel& p,
                                                                      const BlockScales* made,
                                                                      int g) {
  if (made == nullptr) return {scale_of(p, g), high_scale_of(p, g), min_of(p, g)};
  return {_mm512_load_ps(made->low[g]), _mm512_load_ps(made->high[g]),
          _mm512_load_ps(made->min[g])};
}

// A block's codes as bytes, for rows enough to make them once.
struct BlockCodes {
  alignas(64) uint8_t line[8][2][4][64];
};

static __attribute__((always_inline)) inline __m512i load_line(const BlockCodes& c, int g, int half,
                                                               int i) {
  return _mm512_load_si512(c.line[g][half][i]);
}

template <typename Panel>
static __attribute__((always_inline)) inline void load_codes(BlockCodes& to, const Panel& p) {
  for (int g = 0; g < 8; ++g) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      _mm512_store_si512(to.line[g][i / 4][i % 4], load_line(p, g, i / 4, i % 4));
  }
}

// Adds half a group g times R rows to dot[panel][row]. Code: Panel or BlockCodes.
template <typename Code, int P, int R>
static __attribute__((always_inline)) inline void multiply_half(__m512i (&dot)[P][R],
                                                                const Code* const* w,
                                                                const ActivationBlock* const* x,
                                                                int g, int half) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m512i line[P];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) line[p] = load_line(*w[p], g, half, i);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int32_t word;
      memcpy(&word, x[r]->code + 32 * g + 16 * half + 4 * i, sizeof word);
      __m512i in = _mm512_set1_epi32(word);
      // Both panels share one broadcast; as a memory operand it would be loaded twice.
      if (P > 1) asm("" : "+v"(in));
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) dot[p][r] = _mm512_dpbusd_epi32(dot[p][r], line[p], in);
    }
  }
}

template <int P, int R>
static __attribute__((always_inline)) inline void clear(__m512i (&dot)[P][R]) {
#pragma GCC unroll 2
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) dot[p][r] = _mm512_setzero_si512();
  }
}

// The sums of a group (half < 0) or half a group as floats, less the offset of its codes.
template <typename Panel>
static __attribute__((always_inline)) inline __m512 dots_of(__m512i dot, const ActivationBlock& x,
                                                            int g, int half) {
  constexpr int kOffset = Traits<Panel>::kOffset;
  if (kOffset != 0) {
    const int32_t codes = half < 0 ? x.half[2 * g] + x.half[2 * g + 1] : x.half[2 * g + half];
    dot = _mm512_sub_epi32(dot, _mm512_set1_epi32(kOffset * codes));
  }
  return _mm512_cvtepi32_ps(dot);
}

// Adds group g to sum[panel][row].
template <typename Panel, int P, int R>
static __attribute__((always_inline)) inline void add_group(__m512 (&sum)[P][R],
                                                            const Panel* const* w,
                                                            const GroupScales (&s)[P],
                                                            const ActivationBlock* const* x,
                                                            int g) {
  using Rule = Traits<Panel>;
  __m512 value[P][R];
  __m512i dot[P][R];
  clear(dot);
  multiply_half(dot, w, x, g, 0);
  if (Rule::kHalfScales) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p)
        value[p][r] = _mm512_mul_ps(dots_of<Panel>(dot[p][r], *x[r], g, 0), s[p].low);
    }
    clear(dot);
  }
  if (P * R <= 4 && !Rule::kHalfScales) {
    // Few sums are long chains: two of half the length.
    __m512i high[P][R];
    clear(high);
    multiply_half(high, w, x, g, 1);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) dot[p][r] = _mm512_add_epi32(dot[p][r], high[p][r]);
    }
  } else {
    multiply_half(dot, w, x, g, 1);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512 factor = _mm512_set1_ps(x[r]->scale[g]);
    const __m512 codes = _mm512_set1_ps(x[r]->sum[g]);
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      if (Rule::kHalfScales) {
        value[p][r] =
            _mm512_fmadd_ps(dots_of<Panel>(dot[p][r], *x[r], g, 1), s[p].high, value[p][r]);
      } else {
        value[p][r] = _mm512_mul_ps(dots_of<Panel>(dot[p][r], *x[r], g, -1), s[p].low);
      }
      sum[p][r] = _mm512_fmadd_ps(value[p][r], factor, sum[p][r]);
      if (Rule::kMins) sum[p][r] = _mm512_fnmadd_ps(s[p].min, codes, sum[p][r]);
    }
  }
}

}  // namespace headgate::avx512
