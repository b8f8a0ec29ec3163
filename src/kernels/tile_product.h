// Large products of packed panels: bf16 activations in tiles of 16 rows, weights rounded to bf16.
#pragma once

#include <stdint.h>

#include "kernels/panel.h"

namespace headgate {

constexpr int64_t kTileRowsOfInputs = 16;  // rows of a tile of activations
constexpr int64_t kTileInputs = 32;        // inputs of one
constexpr int64_t kTileProductRows = 256;  // most rows per call
// Expanded panels of two slabs of 2048 inputs, and the sums of kTileProductRows rows.
constexpr int64_t kTileScratchBytes = 2 * 2 * 16 * 2048 * 2 + kTileProductRows * 32 * 4;

// Values that pack_tiles writes.
static constexpr int64_t packed_tile_values(int64_t rows, int64_t cols) {
  return (rows + kTileRowsOfInputs - 1) / kTileRowsOfInputs * kTileRowsOfInputs *
         ((cols + kBlockInputs - 1) / kBlockInputs * kBlockInputs);
}

struct TileProductArgs {
  float* const* y;    // [rows], 16 * count outputs each
  const uint16_t* x;  // the rows as pack_tiles left them: the first of a tile comes first
  int64_t rows;       // 1..kTileProductRows
  const void* panels;
  int64_t count, blocks;  // panels, and blocks of each
  void* scratch;          // kTileScratchBytes, 64-byte aligned
};

struct TileProducts {
  // to[row / 16][input / 32][row % 16][input % 32] = x[row][input] rounded to bf16, nearest even;
  // zeros fill the last tile and the inputs up to a whole block. `to` is 64-byte aligned.
  void (*pack)(uint16_t* to, const float* const* x, int64_t rows, int64_t cols);
  // y[t][16 p + n] = row n of panel p, each weight rounded to bf16 (nearest, ties away from zero),
  // times row t. Sums are fp32 and flush denormals.
  void (*multiply[kPanelFormats])(const TileProductArgs& args);
};

}  // namespace headgate
