// Packed panels times tiles of bf16 activations. A pair of panels is expanded once for all rows, a
// slab of up to 2048 inputs at a time, while the slab before it is multiplied: vector units fill
// one buffer as the tile unit reads the other. Sums of 32 rows x 32 outputs stay in four tiles for
// a whole slab.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/amx/kernels.h"
#include "kernels/amx/round.h"
#include "kernels/amx/tile.h"
#include "kernels/avx512/panel_expand.h"
#include "kernels/avx512/vector.h"
#include "kernels/tile_product.h"

namespace headgate::HEADGATE_AMX {
namespace {

using avx512::kTileBytes;

constexpr int64_t kSlabBlocks = 8;
constexpr int64_t kSlabBytes = 2 * kSlabBlocks * kBlockGroups * kTileBytes;  // of a pair of panels
constexpr int64_t kTileValues = kTileRowsOfInputs * kTileInputs;
static_assert(2 * kSlabBytes + kTileProductRows * 32 * 4 == kTileScratchBytes);

inline void fetch_tile(const void* tile) {
  for (int line = 0; line < 16; ++line)
    _mm_prefetch(static_cast<const char*>(tile) + 64 * line, _MM_HINT_T0);
}

// Blocks [first, first + length) of one or two neighbouring panels, and how far they are expanded.
template <typename Panel>
struct Slab {
  const Panel* panels = nullptr;
  int64_t blocks = 0;  // of a panel
  int64_t column = 0;  // output that the panels begin with
  int64_t first = 0, length = 0;
  int64_t count = 0;         // of panels
  uint8_t* tiles = nullptr;  // [input / 32][panel], tiles
  int64_t done = 0;

  int64_t steps() const { return length * kBlockGroups; }
  int64_t all() const { return steps() * count; }
  bool last() const { return first + length == blocks; }

  // Expands one tile, and fetches its share of the block that follows in the same panel or, at the
  // panel's end, in the next pair. A call: the loop of products stays short.
  __attribute__((noinline)) void expand_one() {
    const int64_t panel = done & (count - 1), step = done >> (count - 1);
    const int64_t block = first + step / kBlockGroups, g = step % kBlockGroups;
    const Panel* from = panels + panel * blocks + block;
    constexpr int64_t kLines = (sizeof(Panel) / 64 + 7) / 8;
    const Panel* ahead = from + 1 + (block + 1 == blocks ? (count - 1) * blocks : 0);
    const char* line = reinterpret_cast<const char*>(ahead) + 64 * kLines * g;
    for (int64_t i = 0; i < kLines; ++i) _mm_prefetch(line + 64 * i, _MM_HINT_T0);
    avx512::expand_group(*from, static_cast<int>(g), tiles + done * kTileBytes);
    ++done;
  }
  void finish() {
    while (done < all()) expand_one();
  }
};

// The slab that follows in panel order, to be expanded into `tiles`; of no panels after the last.
template <typename Panel>
Slab<Panel> following(const Slab<Panel>& slab, const TileProductArgs& a, int64_t slab_blocks,
                      uint8_t* tiles) {
  Slab<Panel> next = slab;
  next.tiles = tiles;
  next.done = 0;
  if (slab.last()) {
    next.panels += slab.count * slab.blocks;
    next.column += slab.count * kPanelRows;
    next.first = 0;
    const int64_t left = a.count - next.column / kPanelRows;
    next.count = left < 2 ? left : 2;
  } else {
    next.first += slab.length;
  }
  const int64_t left = slab.blocks - next.first;
  next.length = next.count == 0 ? 0 : left < slab_blocks ? left : slab_blocks;
  return next;
}

// What a pass over the rows shares.
struct Pass {
  const uint8_t* right;
  int64_t steps;
  int64_t left_stride;  // values between tiles of rows
  bool first;           // sums start at zero
  int64_t all_steps;    // of all rows
};

// R tiles of rows times P panels; tiles of the next slab are expanded between the steps, spread
// evenly over them.
template <int P, int R, typename Panel>
void multiply_rows(const Pass& pass, const uint16_t* left, float* sums, Slab<Panel>& next,
                   int64_t& credit) {
  const uint8_t* right = pass.right;
  const int64_t steps = pass.steps, stride = pass.left_stride, all_steps = pass.all_steps;
  const int64_t expand_tiles = next.all();
  int64_t due = credit;
  if (pass.first) {
    tile_zero<0>();
    if (P == 2) tile_zero<1>();
    if (R == 2) tile_zero<2>();
    if (R == 2 && P == 2) tile_zero<3>();
  } else {
    tile_load<0>(sums, 64);
    if (P == 2) tile_load<1>(sums + 256, 64);
    if (R == 2) tile_load<2>(sums + 512, 64);
    if (R == 2 && P == 2) tile_load<3>(sums + 768, 64);
  }
  for (int64_t k = 0; k < steps; ++k) {
    tile_load<4>(left + k * kTileValues, 64);
    tile_load<6>(right, 64);
    tile_multiply<0, 4, 6>();
    if (P == 2) {
      tile_load<7>(right + kTileBytes, 64);
      tile_multiply<1, 4, 7>();
    }
    if (R == 2) {
      tile_load<5>(left + stride + k * kTileValues, 64);
      tile_multiply<2, 5, 6>();
      if (P == 2) tile_multiply<3, 5, 7>();
    }
    right += P * kTileBytes;
    // The right operands of the next step; the left ones of the rows that follow.
    fetch_tile(right);
    if (P == 2) fetch_tile(right + kTileBytes);
    fetch_tile(left + R * stride + k * kTileValues);
    for (due += expand_tiles; due >= all_steps; due -= all_steps) next.expand_one();
  }
  credit = due;
  tile_store<0>(sums, 64);
  if (P == 2) tile_store<1>(sums + 256, 64);
  if (R == 2) tile_store<2>(sums + 512, 64);
  if (R == 2 && P == 2) tile_store<3>(sums + 768, 64);
}

// All rows times one slab; sums are [tile of rows][2 panels] of 16 x 16.
template <int P, typename Panel>
void multiply_slab(const TileProductArgs& a, const Slab<Panel>& now, Slab<Panel>& next,
                   float* sums) {
  const int64_t row_tiles = (a.rows + kTileRowsOfInputs - 1) / kTileRowsOfInputs;
  const int64_t passes = (row_tiles + 1) / 2;
  const Pass pass = {now.tiles, now.steps(), now.blocks * kBlockGroups * kTileValues,
                     now.first == 0, passes * now.steps()};
  const uint16_t* left = a.x + now.first * kBlockGroups * kTileValues;
  int64_t credit = 0;
  for (int64_t tile = 0; tile < row_tiles; tile += 2) {
    const uint16_t* rows = left + tile * pass.left_stride;
    if (tile + 2 <= row_tiles) {
      multiply_rows<P, 2>(pass, rows, sums + tile * 512, next, credit);
    } else {
      multiply_rows<P, 1>(pass, rows, sums + tile * 512, next, credit);
    }
  }
  next.finish();
}

void write_sums(const TileProductArgs& a, int64_t column, int64_t panels, const float* sums) {
  for (int64_t t = 0; t < a.rows; ++t) {
    const float* from = sums + t / 16 * 512 + t % 16 * 16;
    for (int64_t p = 0; p < panels; ++p)
      _mm512_storeu_ps(a.y[t] + column + 16 * p, _mm512_load_ps(from + 256 * p));
  }
}

template <typename Panel>
void multiply_all(const TileProductArgs& args) {
  const TileProductArgs a = args;
  auto* memory = static_cast<uint8_t*>(a.scratch);
  uint8_t* const buffers[2] = {memory, memory + kSlabBytes};
  auto* sums = reinterpret_cast<float*>(memory + 2 * kSlabBytes);
  // Slabs of nearly equal length: five and five blocks rather than eight and two.
  const int64_t slabs = (a.blocks + kSlabBlocks - 1) / kSlabBlocks;
  const int64_t slab_blocks = (a.blocks + slabs - 1) / slabs;
  Slab<Panel> now;
  now.panels = static_cast<const Panel*>(a.panels);
  now.blocks = a.blocks;
  now.count = a.count < 2 ? a.count : 2;
  now.length = slab_blocks;
  now.tiles = buffers[0];
  now.finish();
  tile_configure(kFullTiles);
  for (int64_t turn = 1; now.count > 0; ++turn) {
    Slab<Panel> next = following(now, a, slab_blocks, buffers[turn % 2]);
    if (now.count == 2) {
      multiply_slab<2>(a, now, next, sums);
    } else {
      multiply_slab<1>(a, now, next, sums);
    }
    if (now.last()) write_sums(a, now.column, now.count, sums);
    now = next;
  }
  tile_release();
}

}  // namespace

void pack_tiles(uint16_t* to, const float* const* x, int64_t rows, int64_t cols) {
  const int64_t steps = (cols + kBlockInputs - 1) / kBlockInputs * kBlockGroups;
  for (int64_t first = 0; first < rows; first += kTileRowsOfInputs) {
    for (int64_t r = 0; r < kTileRowsOfInputs; ++r) {
      uint16_t* row = to + r * kTileInputs;
      const int64_t live = first + r < rows ? cols : 0;
      for (int64_t step = 0; step < steps; ++step, row += kTileValues) {
        const int64_t left = live - step * kTileInputs;
        __m256i half[2];
        for (int i = 0; i < 2; ++i) {
          const int64_t lanes = left - 16 * i;
          const __mmask16 mask = lanes > 0 ? avx512::live_lanes(lanes) : static_cast<__mmask16>(0);
          const float* from = lanes > 0 ? x[first + r] + step * kTileInputs + 16 * i : nullptr;
          half[i] = round_row(_mm512_maskz_loadu_ps(mask, from));
        }
        _mm512_store_si512(row, _mm512_inserti64x4(_mm512_castsi256_si512(half[0]), half[1], 1));
      }
    }
    to += steps * kTileValues;
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

}  // namespace headgate::HEADGATE_AMX
