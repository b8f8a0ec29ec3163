// Packed panels times many rows of int8 activations with VNNI.
//
// Two neighbouring panels share the broadcasts of up to six rows: 12 integer and 12 float sums fill
// the registers. Unpacking codes of one plane costs nothing on Zen 5, where it runs beside the
// multipliers; what keeps large products at two thirds of the byte multiply-add peak are the three
// float operations per group, row and panel, which need the same two units. Everything is static:
// nothing here may become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx512/panel_groups.h"
#include "kernels/panel.h"

namespace headgate::avx512 {

constexpr int64_t kGemmRows = 128;  // rows whose sums (16 KiB for a pair of panels) stay in L1
constexpr int64_t kCodeRows = 24;   // from so many rows on, codes of two planes are made once

// What is fetched from memory while a block is multiplied: the next block of each panel. Spread
// over the work, else decode runs at 70 to 80 % of memory speed.
struct Ahead {
  const char* at[2];
  int64_t lines;  // per panel and group
};

// What each row's sums of codes start with, so that the codes' offset needs no instruction later:
// [row][half of a group]; whole groups use the even ones where halves share a scale.
template <typename Panel, int R>
static __attribute__((always_inline)) inline void load_offsets(int32_t (*to)[16],
                                                               const ActivationBlock* const* x) {
  using Rule = Traits<Panel>;
  if (Rule::kOffset == 0) return;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    __m512i codes = _mm512_loadu_si512(x[r]->half);
    if (!Rule::kHalfScales)
      codes = _mm512_add_epi32(codes, _mm512_shuffle_epi32(codes, _MM_PERM_CDAB));
    _mm512_store_si512(to[r], _mm512_mullo_epi32(codes, _mm512_set1_epi32(-Rule::kOffset)));
  }
}

template <typename Panel, int P, int R>
static __attribute__((always_inline)) inline void start_sums(__m512i (&dot)[P][R],
                                                             const int32_t (*offsets)[16],
                                                             int half) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512i first =
        Traits<Panel>::kOffset == 0 ? _mm512_setzero_si512() : _mm512_set1_epi32(offsets[r][half]);
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) dot[p][r] = first;
  }
}

// As add_group for many rows and formats of one scale a group.
template <typename Panel, int P, int R, typename Code>
static __attribute__((always_inline)) inline void add_rows(__m512 (&sum)[P][R],
                                                           const Code* const* w,
                                                           const GroupScales (&s)[P],
                                                           const ActivationBlock* const* x,
                                                           const int32_t (*offsets)[16], int g) {
  __m512i dot[P][R];
  start_sums<Panel>(dot, offsets, 2 * g);
  multiply_half(dot, w, x, g, 0);
  multiply_half(dot, w, x, g, 1);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512 factor = _mm512_set1_ps(x[r]->scale[g]);
    const __m512 codes = _mm512_set1_ps(x[r]->sum[g]);
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      const __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[p][r]), s[p].low);
      sum[p][r] = _mm512_fmadd_ps(value, factor, sum[p][r]);
      if (Traits<Panel>::kMins) sum[p][r] = _mm512_fnmadd_ps(s[p].min, codes, sum[p][r]);
    }
  }
}

// As add_group for many rows and formats of a scale for each half: their values leave no registers
// for the sums, which stay in `tile` [rows][P][16].
template <typename Panel, int P, int R, typename Code>
static __attribute__((always_inline)) inline void add_rows_by_halves(
    float* tile, const Code* const* w, const GroupScales (&s)[P], const ActivationBlock* const* x,
    const int32_t (*offsets)[16], int g) {
  __m512i dot[P][R];
  __m512 value[P][R];
  start_sums<Panel>(dot, offsets, 2 * g);
  multiply_half(dot, w, x, g, 0);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p)
      value[p][r] = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[p][r]), s[p].low);
  }
  start_sums<Panel>(dot, offsets, 2 * g + 1);
  multiply_half(dot, w, x, g, 1);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512 factor = _mm512_set1_ps(x[r]->scale[g]);
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      float* at = tile + 16 * (P * r + p);
      const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[p][r]), s[p].high, value[p][r]);
      _mm512_store_ps(at, _mm512_fmadd_ps(both, factor, _mm512_load_ps(at)));
    }
  }
  asm volatile("" ::: "memory");  // else the compiler carries sums in registers it does not have
}

static __attribute__((always_inline)) inline void fetch(const Ahead& ahead, int panels, int g) {
  for (int64_t line = 0; line < ahead.lines; ++line) {
    for (int p = 0; p < panels; ++p)
      _mm_prefetch(ahead.at[p] + 64 * (g * ahead.lines + line), _MM_HINT_T0);
  }
}

// One block of P panels times R rows, whose 16 sums per panel lie in `tile` [rows][P][16].
template <typename Panel, int P, int R, typename Code>
static void multiply_rows(float* tile, const Code* const* w, const BlockScales* scales,
                          const ActivationBlock* const* x, int64_t block, const Ahead& ahead) {
  constexpr bool kSumsInTile = Traits<Panel>::kHalfScales;
  __m512 sum[P][R];
  alignas(64) int32_t offsets[R][16];
  const ActivationBlock* in[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    in[r] = x[r] + block;
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      if (!kSumsInTile) sum[p][r] = _mm512_load_ps(tile + 16 * (P * r + p));
    }
  }
  load_offsets<Panel, R>(offsets, in);
  for (int g = 0; g < 8; ++g) {
    fetch(ahead, P, g);
    GroupScales group[P];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      group[p] = {_mm512_load_ps(scales[p].low[g]), _mm512_load_ps(scales[p].high[g]),
                  _mm512_load_ps(scales[p].min[g])};
    }
    if constexpr (kSumsInTile) {
      add_rows_by_halves<Panel, P, R>(tile, w, group, in, offsets, g);
    } else {
      add_rows<Panel, P, R>(sum, w, group, in, offsets, g);
    }
  }
  if (kSumsInTile) return;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) _mm512_store_ps(tile + 16 * (P * r + p), sum[p][r]);
  }
}

// As multiply_rows for `rows` rows, 1..Most.
template <typename Panel, int P, int Most, typename Code>
static void multiply_some(float* tile, const Code* const* w, const BlockScales* scales,
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
  constexpr int kMost = 6;
  constexpr int64_t kLines = sizeof(Panel) / 64;
  constexpr bool kMayMake = Traits<Panel>::kTwoPlanes;
  const bool makes_codes = kMayMake && tokens >= kCodeRows;
  alignas(64) float tile[kGemmRows * P * 16];
  BlockScales scales[P];
  BlockCodes codes[kMayMake ? P : 1];
  memset(tile, 0, static_cast<size_t>(tokens * P) * 64);
  // Rows in groups of nearly equal size: five and five rather than six and four.
  const int64_t groups = (tokens + kMost - 1) / kMost;
  for (int64_t b = 0; b < blocks; ++b) {
    Ahead ahead = {{nullptr, nullptr}, (kLines + 8 * groups - 1) / (8 * groups)};
    const Panel* w[P];
    const BlockCodes* made[P];
    for (int p = 0; p < P; ++p) {
      w[p] = panel + p * blocks + b;
      load_scales(scales[p], *w[p]);
      made[p] = codes + (kMayMake ? p : 0);
      if (makes_codes) load_codes(codes[kMayMake ? p : 0], *w[p]);
      const Panel* next = w[p] + 1 + (b + 1 == blocks ? (P - 1) * blocks : 0);
      ahead.at[p] = reinterpret_cast<const char*>(next);
    }
    int64_t fetched = 0, row = 0;
    for (int64_t i = 0; i < groups; ++i) {
      const int64_t rows = (tokens - row) / (groups - i);
      if (fetched >= kLines) ahead.lines = 0;
      float* sums = tile + 16 * P * row;
      if constexpr (kMayMake) {
        if (makes_codes)
          multiply_some<Panel, P, kMost>(sums, made, scales, x + row, rows, b, ahead);
      }
      if (!makes_codes) multiply_some<Panel, P, kMost>(sums, w, scales, x + row, rows, b, ahead);
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
    for (; p + 2 <= count; p += 2)
      multiply_panels<Panel, 2>(y + done, 16 * p, x + done, rows, panel + p * blocks, blocks);
    for (; p < count; ++p)
      multiply_panels<Panel, 1>(y + done, 16 * p, x + done, rows, panel + p * blocks, blocks);
    done += rows;
  }
}

}  // namespace headgate::avx512
