// Packed panels times tiles of bf16 activations with bf16 dot products. A block of a pair of panels
// is expanded into the L1 cache once and meets eight rows at a time, whose sums stay in registers
// for the block. Half the products of bytes a cycle, but no scales between them.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/panel_expand.h"
#include "kernels/avx512/vector.h"
#include "kernels/avx512bf16/kernels.h"
#include "kernels/tile_product.h"

namespace headgate::avx512bf16 {
namespace {

using avx512::kTileBytes;

constexpr int kRows = 8;  // at a time: half a tile
constexpr int64_t kTileValues = kTileRowsOfInputs * kTileInputs;
constexpr int64_t kExpandedBytes = 2 * kBlockGroups * kTileBytes;  // of a block of two panels
static_assert(kExpandedBytes + kTileProductRows * 32 * 4 <= kTileScratchBytes);

// A pair of inputs of one row in all lanes, read once for all panels.
inline __m512i spread(const uint16_t* pair) {
  int32_t word;
  __builtin_memcpy(&word, pair, sizeof word);
  __m512i v = _mm512_set1_epi32(word);
  asm("" : "+v"(v));
  return v;
}

// Adds a block times kRows rows to sums [kRows][P][16]. `w` is [group][panel], tiles; x the first
// row's pairs of the first group.
template <int P>
void multiply_rows(float* sums, const uint8_t* w, const uint16_t* x, bool first) {
  __m512 sum[kRows][P];
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < P; ++p)
      sum[r][p] = first ? _mm512_setzero_ps() : _mm512_load_ps(sums + 16 * (P * r + p));
  }
  for (int64_t g = 0; g < kBlockGroups; ++g) {
#pragma GCC unroll 4
    for (int64_t line = 0; line < kTileInputs / 2; ++line) {
      __m512bh weight[P];
      for (int p = 0; p < P; ++p)
        weight[p] = (__m512bh)_mm512_load_si512(w + p * kTileBytes + 64 * line);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const auto in = (__m512bh)spread(x + r * kTileInputs + 2 * line);
        for (int p = 0; p < P; ++p) sum[r][p] = _mm512_dpbf16_ps(sum[r][p], in, weight[p]);
      }
    }
    w += P * kTileBytes;
    x += kTileValues;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < P; ++p) _mm512_store_ps(sums + 16 * (P * r + p), sum[r][p]);
  }
}

// Fetches the block of kRows rows that will be multiplied next.
inline void fetch_rows(const uint16_t* x) {
  for (int64_t g = 0; g < kBlockGroups; ++g, x += kTileValues) {
    for (int64_t r = 0; r < kRows; ++r) _mm_prefetch(x + r * kTileInputs, _MM_HINT_T0);
  }
}

// P neighbouring panels from output `column` on.
template <typename Panel, int P>
void multiply_panels(const TileProductArgs& a, const Panel* panel, int64_t column) {
  auto* expanded = static_cast<uint8_t*>(a.scratch);
  auto* sums = reinterpret_cast<float*>(expanded + kExpandedBytes);
  const int64_t steps = (a.rows + kRows - 1) / kRows;
  const int64_t tile_values = a.blocks * kBlockGroups * kTileValues;
  const auto row_at = [&](int64_t step, int64_t block) {
    return a.x + step / 2 * tile_values + block * kBlockGroups * kTileValues +
           step % 2 * kRows * kTileInputs;
  };
  constexpr int64_t kLines = sizeof(Panel) / 64;
  const int64_t lines_a_step = (kLines + steps - 1) / steps;
  for (int64_t b = 0; b < a.blocks; ++b) {
    for (int64_t g = 0; g < kBlockGroups; ++g) {
      for (int64_t p = 0; p < P; ++p)
        avx512::expand_group(panel[p * a.blocks + b], static_cast<int>(g),
                             expanded + (P * g + p) * kTileBytes);
    }
    // The block that follows in each panel or, behind its end, in the next pair.
    const Panel* next = panel + b + 1 + (b + 1 == a.blocks ? (P - 1) * a.blocks : 0);
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t i = step * lines_a_step; i < (step + 1) * lines_a_step && i < kLines; ++i) {
        for (int64_t p = 0; p < P; ++p)
          _mm_prefetch(reinterpret_cast<const char*>(next + p * a.blocks) + 64 * i, _MM_HINT_T0);
      }
      fetch_rows(step + 1 < steps ? row_at(step + 1, b) : row_at(0, (b + 1) % a.blocks));
      multiply_rows<P>(sums + step * kRows * P * 16, expanded, row_at(step, b), b == 0);
    }
  }
  for (int64_t t = 0; t < a.rows; ++t) {
    for (int p = 0; p < P; ++p)
      _mm512_storeu_ps(a.y[t] + column + 16 * p, _mm512_load_ps(sums + 16 * (P * t + p)));
  }
}

template <typename Panel>
void multiply_all(const TileProductArgs& a) {
  const auto* panel = static_cast<const Panel*>(a.panels);
  int64_t p = 0;
  for (; p + 2 <= a.count; p += 2) multiply_panels<Panel, 2>(a, panel + p * a.blocks, 16 * p);
  if (p < a.count) multiply_panels<Panel, 1>(a, panel + p * a.blocks, 16 * p);
}

}  // namespace

void pack_tiles(uint16_t* to, const float* const* x, int64_t rows, int64_t cols) {
  const int64_t steps = (cols + kBlockInputs - 1) / kBlockInputs * kBlockGroups;
  for (int64_t first = 0; first < rows; first += kTileRowsOfInputs, to += steps * kTileValues) {
    for (int64_t r = 0; r < kTileRowsOfInputs; ++r) {
      uint16_t* row = to + r * kTileInputs;
      const int64_t live = first + r < rows ? cols : 0;
      for (int64_t i = 0; i < 2 * steps; ++i) {
        const int64_t left = live - 16 * i;
        const __mmask16 mask = left > 0 ? avx512::live_lanes(left) : static_cast<__mmask16>(0);
        const float* from = left > 0 ? x[first + r] + 16 * i : nullptr;
        const auto half = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
        _mm256_store_si256(reinterpret_cast<__m256i*>(row + i / 2 * kTileValues + i % 2 * 16),
                           half);
      }
    }
  }
}

void tiles_q4k(const TileProductArgs& args) { multiply_all<PanelQ4K>(args); }
void tiles_q5k(const TileProductArgs& args) { multiply_all<PanelQ5K>(args); }
void tiles_q6k(const TileProductArgs& args) { multiply_all<PanelQ6K>(args); }
void tiles_q80(const TileProductArgs& args) { multiply_all<PanelQ80>(args); }
void tiles_q40(const TileProductArgs& args) { multiply_all<PanelQ40>(args); }
void tiles_iq4nl(const TileProductArgs& args) { multiply_all<PanelIQ4NL>(args); }
void tiles_iq4xs(const TileProductArgs& args) { multiply_all<PanelIQ4XS>(args); }
void tiles_mxfp4(const TileProductArgs& args) { multiply_all<PanelMXFP4>(args); }

}  // namespace headgate::avx512bf16
