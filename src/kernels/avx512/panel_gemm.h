// Packed panels times int8 activations with VNNI: a line of 16 outputs x 4 inputs meets 4
// activations broadcast to all lanes. A lane is an output, so nothing is ever added across lanes.
//
// Two neighbouring panels share the broadcasts of up to six rows: 12 integer and 12 float sums fill
// the registers. Unpacking costs nothing on Zen 5, where it runs beside the multipliers; what
// keeps large products at two thirds of the byte multiply-add peak are the three float operations
// per group, row and panel, which need the same two units. Everything is static: nothing here may
// become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx512/panel_unpack.h"
#include "kernels/panel.h"

namespace headgate::avx512 {

constexpr int64_t kFewRows = 3;       // up to so many rows, scales are made where they are used
constexpr int64_t kOnePanelRows = 1;  // up to so many rows, one stream of memory is read faster
constexpr int64_t kGemmRows = 128;    // rows whose sums (16 KiB for a pair of panels) stay in L1

// What is fetched from memory while a block is multiplied: the next block of each panel. Spread
// over the work, else decode runs at 70 to 80 % of memory speed.
struct Ahead {
  const char* at[2];
  int64_t lines;  // per panel and group
};

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

// Adds half a group g times R rows to dot[panel][row].
template <typename Panel, int P, int R>
static __attribute__((always_inline)) inline void multiply_half(__m512i (&dot)[P][R],
                                                                const Panel* const* w,
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
  multiply_half<Panel>(dot, w, x, g, 0);
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
    multiply_half<Panel>(high, w, x, g, 1);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) dot[p][r] = _mm512_add_epi32(dot[p][r], high[p][r]);
    }
  } else {
    multiply_half<Panel>(dot, w, x, g, 1);
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

// One block of P panels times R rows, whose 16 sums per panel lie in `tile` [rows][P][16].
template <typename Panel, int P, int R>
static void multiply_rows(float* tile, const Panel* const* w, const BlockScales* scales,
                          const ActivationBlock* const* x, int64_t block, const Ahead& ahead) {
  __m512 sum[P][R];
  const ActivationBlock* in[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    in[r] = x[r] + block;
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) sum[p][r] = _mm512_load_ps(tile + 16 * (P * r + p));
  }
  for (int g = 0; g < 8; ++g) {
    for (int64_t line = 0; line < ahead.lines; ++line) {
      for (int p = 0; p < P; ++p)
        _mm_prefetch(ahead.at[p] + 64 * (g * ahead.lines + line), _MM_HINT_T0);
    }
    GroupScales group[P];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p)
      group[p] = group_scales(*w[p], R <= kFewRows ? nullptr : scales + p, g);
    add_group<Panel, P, R>(sum, w, group, in, g);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) _mm512_store_ps(tile + 16 * (P * r + p), sum[p][r]);
  }
}

// As multiply_rows for `rows` rows, 1..Most.
template <typename Panel, int P, int Most>
static void multiply_some(float* tile, const Panel* const* w, const BlockScales* scales,
                          const ActivationBlock* const* x, int64_t rows, int64_t block,
                          const Ahead& ahead) {
  if constexpr (Most > 1) {
    if (rows < Most)
      return multiply_some<Panel, P, Most - 1>(tile, w, scales, x, rows, block, ahead);
  }
  multiply_rows<Panel, P, Most>(tile, w, scales, x, block, ahead);
}

// P neighbouring panels times up to kGemmRows rows.
template <typename Panel, int P>
static void multiply_panels(float* const* y, int64_t column, const ActivationBlock* const* x,
                            int64_t tokens, const Panel* panel, int64_t blocks) {
  // Scales of 16 inputs keep a second set of values: fewer rows fit the registers.
  constexpr int kMost = Traits<Panel>::kHalfScales ? 4 : 6;
  constexpr int64_t kLines = sizeof(Panel) / 64;
  alignas(64) float tile[kGemmRows * P * 16];
  BlockScales scales[P];
  memset(tile, 0, static_cast<size_t>(tokens * P) * 64);
  // Rows in groups of nearly equal size: five and five rather than six and four.
  const int64_t groups = (tokens + kMost - 1) / kMost;
  for (int64_t b = 0; b < blocks; ++b) {
    Ahead ahead = {{nullptr, nullptr}, (kLines + 8 * groups - 1) / (8 * groups)};
    const Panel* w[P];
    for (int p = 0; p < P; ++p) {
      w[p] = panel + p * blocks + b;
      if (tokens > kFewRows) load_scales(scales[p], *w[p]);
      const Panel* next = w[p] + 1 + (b + 1 == blocks ? (P - 1) * blocks : 0);
      ahead.at[p] = reinterpret_cast<const char*>(next);
    }
    int64_t fetched = 0, row = 0;
    for (int64_t i = 0; i < groups; ++i) {
      const int64_t rows = (tokens - row) / (groups - i);
      if (fetched >= kLines) ahead.lines = 0;
      multiply_some<Panel, P, kMost>(tile + 16 * P * row, w, scales, x + row, rows, b, ahead);
      for (int p = 0; p < P; ++p) ahead.at[p] += 64 * 8 * ahead.lines;
      fetched += 8 * ahead.lines;
      row += rows;
    }
  }
  for (int64_t t = 0; t < tokens; ++t) {
    for (int p = 0; p < P; ++p)
      _mm512_storeu_ps(y[t] + column + 16 * p, _mm512_load_ps(tile + 16 * (P * t + p)));
  }
}

// Any number of rows and panels.
template <typename Panel>
static void multiply_all(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                         const void* panels, int64_t count, int64_t blocks) {
  const auto* panel = static_cast<const Panel*>(panels);
  const int64_t parts = (tokens + kGemmRows - 1) / kGemmRows;
  int64_t done = 0;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t rows = (tokens - done) / (parts - part);
    int64_t p = 0;
    for (; rows > kOnePanelRows && p + 2 <= count; p += 2)
      multiply_panels<Panel, 2>(y + done, 16 * p, x + done, rows, panel + p * blocks, blocks);
    for (; p < count; ++p)
      multiply_panels<Panel, 1>(y + done, 16 * p, x + done, rows, panel + p * blocks, blocks);
    done += rows;
  }
}

}  // namespace headgate::avx512
