// Pairs of panels times many rows of activations: a block of the pair is unpacked into L1 once and
// meets all rows, six at a time. Measured on Zen 5: two thirds of the byte multiply-add peak; the
// other third are the three float operations per group, row and panel on the same two units.
// Everything is static: nothing here may become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx512/panel_unpack.h"
#include "kernels/panel.h"

namespace headgate::avx512 {

constexpr int64_t kGemmRows = 128;  // rows whose sums (16 KiB for a pair) stay in L1

// One block of one panel, a byte per code.
struct UnpackedBlock {
  alignas(64) uint8_t code[8][8][64];  // line i of group g: inputs 32g + 4i + j
  float scale[8][16], scale_high[8][16], min[8][16];
};

// What is fetched from memory while a block is multiplied: the next block of each panel.
struct Ahead {
  const char* at[2];
  int64_t lines;  // per panel and group
};

template <typename Panel>
static __attribute__((always_inline)) inline void unpack_block(UnpackedBlock& to, const Panel& p) {
  for (int g = 0; g < 8; ++g) {
    Group w;
    unpack(w, p, g);
    for (int i = 0; i < 4; ++i) {
      _mm512_store_si512(to.code[g][i], w.low[i]);
      _mm512_store_si512(to.code[g][4 + i], w.high[i]);
    }
    _mm512_store_ps(to.scale[g], w.scale);
    if (Traits<Panel>::kHalfScales) _mm512_store_ps(to.scale_high[g], w.scale_high);
    if (Traits<Panel>::kMins) _mm512_store_ps(to.min[g], w.min);
  }
}

// Adds lines [First, First + Lines) of group g times R rows to dot[panel][row].
template <int P, int R, int First, int Lines>
static __attribute__((always_inline)) inline void multiply_lines(__m512i (&dot)[P][R],
                                                                 const UnpackedBlock* w,
                                                                 const ActivationBlock* const* x,
                                                                 int g) {
#pragma GCC unroll 8
  for (int i = First; i < First + Lines; ++i) {
    __m512i line[P];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) line[p] = _mm512_load_si512(w[p].code[g][i]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int32_t word;
      memcpy(&word, x[r]->code + 32 * g + 4 * i, sizeof word);
      __m512i in = _mm512_set1_epi32(word);
      // Both panels share one broadcast; as a memory operand it would be loaded twice.
      if (P > 1) asm("" : "+v"(in));
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) dot[p][r] = _mm512_dpbusd_epi32(dot[p][r], line[p], in);
    }
  }
}

// The sums of group g become values and join sum[panel][row], in the order of the vector kernels.
template <typename Panel, int P, int R>
static __attribute__((always_inline)) inline void add_values(__m512 (&sum)[P][R],
                                                             const UnpackedBlock* w,
                                                             const ActivationBlock* const* x,
                                                             int g) {
  using Rule = Traits<Panel>;
  constexpr int kHalves = Rule::kHalfScales ? 2 : 1;
  __m512 value[P][R];
#pragma GCC unroll 2
  for (int half = 0; half < kHalves; ++half) {
    __m512i dot[P][R];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) dot[p][r] = _mm512_setzero_si512();
    }
    if (kHalves == 1) {
      multiply_lines<P, R, 0, 8>(dot, w, x, g);
    } else if (half == 0) {
      multiply_lines<P, R, 0, 4>(dot, w, x, g);
    } else {
      multiply_lines<P, R, 4, 4>(dot, w, x, g);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const int32_t* halves = x[r]->half + 2 * g;
      const int32_t codes = kHalves == 2 ? halves[half] : halves[0] + halves[1];
      const __m512i offset = _mm512_set1_epi32(Rule::kOffset * codes);
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) {
        if (Rule::kOffset != 0) dot[p][r] = _mm512_sub_epi32(dot[p][r], offset);
        const __m512 dots = _mm512_cvtepi32_ps(dot[p][r]);
        value[p][r] = half == 0
                          ? _mm512_mul_ps(dots, _mm512_load_ps(w[p].scale[g]))
                          : _mm512_fmadd_ps(dots, _mm512_load_ps(w[p].scale_high[g]), value[p][r]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512 factor = _mm512_set1_ps(x[r]->scale[g]);
    const __m512 codes = _mm512_set1_ps(x[r]->sum[g]);
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      sum[p][r] = _mm512_fmadd_ps(value[p][r], factor, sum[p][r]);
      if (Rule::kMins) sum[p][r] = _mm512_fnmadd_ps(_mm512_load_ps(w[p].min[g]), codes, sum[p][r]);
    }
  }
}

// One block of P panels times R rows; tile[p] holds 16 sums per row.
template <typename Panel, int P, int R>
static void multiply_rows(float (*tile)[kGemmRows * 16], const UnpackedBlock* w,
                          const ActivationBlock* const* x, int64_t block, const Ahead& ahead) {
  __m512 sum[P][R];
  const ActivationBlock* in[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    in[r] = x[r] + block;
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) sum[p][r] = _mm512_loadu_ps(tile[p] + 16 * r);
  }
  for (int g = 0; g < 8; ++g) {
    for (int64_t line = 0; line < ahead.lines; ++line) {
      for (int p = 0; p < P; ++p)
        _mm_prefetch(ahead.at[p] + 64 * (g * ahead.lines + line), _MM_HINT_T0);
    }
    add_values<Panel, P, R>(sum, w, in, g);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) _mm512_storeu_ps(tile[p] + 16 * r, sum[p][r]);
  }
}

// As multiply_rows for `rows` rows, 1..Most.
template <typename Panel, int P, int Most>
static void multiply_some(float (*tile)[kGemmRows * 16], const UnpackedBlock* w,
                          const ActivationBlock* const* x, int64_t rows, int64_t block,
                          const Ahead& ahead) {
  if constexpr (Most > 1) {
    if (rows < Most) return multiply_some<Panel, P, Most - 1>(tile, w, x, rows, block, ahead);
  }
  multiply_rows<Panel, P, Most>(tile, w, x, block, ahead);
}

// P neighbouring panels times up to kGemmRows rows.
template <typename Panel, int P>
static void multiply_panels(float* const* y, int64_t column, const ActivationBlock* const* x,
                            int64_t tokens, const Panel* panel, int64_t blocks) {
  // Scales of 16 inputs keep a second set of values: fewer rows fit the registers.
  constexpr int kMost = Traits<Panel>::kHalfScales ? 4 : 6;
  constexpr int64_t kLines = sizeof(Panel) / 64;
  alignas(64) float tile[P][kGemmRows * 16];
  UnpackedBlock unpacked[P];
  for (int p = 0; p < P; ++p) memset(tile[p], 0, static_cast<size_t>(tokens) * 64);
  // Rows in groups of nearly equal size: five and five rather than six and four.
  const int64_t groups = (tokens + kMost - 1) / kMost;
  for (int64_t b = 0; b < blocks; ++b) {
    const bool last = b + 1 == blocks;
    Ahead ahead = {{nullptr, nullptr}, (kLines + 8 * groups - 1) / (8 * groups)};
    for (int p = 0; p < P; ++p) {
      unpack_block(unpacked[p], panel[p * blocks + b]);
      const Panel* next = panel + p * blocks + b + 1 + (last ? (P - 1) * blocks : 0);
      ahead.at[p] = reinterpret_cast<const char*>(next);
    }
    int64_t fetched = 0, row = 0;
    for (int64_t i = 0; i < groups; ++i) {
      const int64_t rows = (tokens - row) / (groups - i);
      if (fetched >= kLines) ahead.lines = 0;
      float(*at)[kGemmRows * 16] = reinterpret_cast<float(*)[kGemmRows * 16]>(tile[0] + 16 * row);
      multiply_some<Panel, P, kMost>(at, unpacked, x + row, rows, b, ahead);
      for (int p = 0; p < P; ++p) ahead.at[p] += 64 * 8 * ahead.lines;
      fetched += 8 * ahead.lines;
      row += rows;
    }
  }
  for (int64_t t = 0; t < tokens; ++t) {
    for (int p = 0; p < P; ++p)
      _mm512_storeu_ps(y[t] + column + 16 * p, _mm512_load_ps(tile[p] + 16 * t));
  }
}

// Any number of rows.
template <typename Panel>
static void gemm(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                 const Panel* panel, int64_t count, int64_t blocks) {
  const int64_t parts = (tokens + kGemmRows - 1) / kGemmRows;
  int64_t done = 0;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t rows = (tokens - done) / (parts - part);
    int64_t p = 0;
    for (; p + 2 <= count; p += 2)
      multiply_panels<Panel, 2>(y + done, 16 * p, x + done, rows, panel + p * blocks, blocks);
    if (p < count)
      multiply_panels<Panel, 1>(y + done, 16 * p, x + done, rows, panel + p * blocks, blocks);
    done += rows;
  }
}

}  // namespace headgate::avx512
