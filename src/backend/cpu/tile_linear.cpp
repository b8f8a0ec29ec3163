// Matrix products of large steps on a matrix unit: rows become tiles of bf16 once, then tasks
// multiply ranges of panels with up to 256 of them.
#include <algorithm>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

// The first pair of panels of a task is expanded before anything is multiplied: a task should have
// a few of them.
constexpr int64_t kLeastTiles = 8;
constexpr int64_t kTasksPerThread = 8;

}  // namespace

void CpuBackend::reserve_tiles(int64_t rows, int64_t cols) {
  const int64_t values = packed_tile_values(rows, cols);
  for (Scratch<std::byte>& scratch : tile_scratch_)
    scratch.take(kTileScratchBytes + values * static_cast<int64_t>(sizeof(uint16_t)));
}

const uint16_t* CpuBackend::pack_tiles(const float* const* x, int64_t rows, int64_t cols,
                                       int worker) {
  auto* tiles = reinterpret_cast<uint16_t*>(tile_scratch_[static_cast<size_t>(worker)].data() +
                                            kTileScratchBytes);
  kernels_.tiles.pack(tiles, x, rows, cols);
  return tiles;
}

void CpuBackend::multiply_tiles(float* const* y, const uint16_t* x, int64_t rows,
                                const WeightView& w, int64_t first_tile, int64_t tiles,
                                int worker) {
  HEADGATE_DCHECK(rows <= kTileProductRows);
  const int64_t last_rows = w.rows % kPanelRows;
  const bool partial = last_rows != 0 && first_tile + tiles == w.tiles();
  TileProductArgs args = {};
  args.y = y;
  args.x = x;
  args.rows = rows;
  args.panels = w.data + first_tile * w.panel_bytes();
  args.count = partial ? tiles - 1 : tiles;
  args.blocks = w.blocks();
  args.scratch = tile_scratch_[static_cast<size_t>(worker)].data();
  if (args.count > 0) kernels_.tiles.multiply[w.panel](args);
  if (!partial) return;
  // The last panel has rows that y has no room for.
  float full[kTileProductRows][kPanelRows];
  float* out[kTileProductRows] = {};
  for (int64_t t = 0; t < rows; ++t) out[t] = full[t];
  const int64_t whole = args.count;
  args.y = out;
  args.panels = w.data + (first_tile + whole) * w.panel_bytes();
  args.count = 1;
  kernels_.tiles.multiply[w.panel](args);
  for (int64_t t = 0; t < rows; ++t) std::copy_n(full[t], last_rows, y[t] + whole * kPanelRows);
}

// Splits the parts into ranges of whole pairs of panels.
void CpuBackend::list_tile_tasks(std::span<const LinearPart> parts) {
  linear_tasks_.clear();
  int64_t all_tiles = 0;
  for (const LinearPart& part : parts) all_tiles += (part.w->rows() + kPanelRows - 1) / kPanelRows;
  const int64_t share = all_tiles / (kTasksPerThread * pool_.threads()) / 2 * 2;
  const int64_t per_task = std::max(kLeastTiles, share);
  for (size_t p = 0; p < parts.size(); ++p) {
    const WeightView& w = static_cast<const CpuMatrix&>(*parts[p].w).view;
    for (int64_t tile = 0; tile < w.tiles(); tile += per_task) {
      const int64_t tiles = std::min(per_task, w.tiles() - tile);
      linear_tasks_.push_back({static_cast<int64_t>(p), tile, tiles});
    }
  }
}

void CpuBackend::linear_tiles(std::span<const LinearPart> parts, View x) {
  if (parts.empty()) return;
  for (const LinearPart& part : parts) {
    const WeightView& w = static_cast<const CpuMatrix&>(*part.w).view;
    HEADGATE_CHECK(x.cols == w.cols && part.y.cols == w.rows && x.rows == part.y.rows);
  }
  const int64_t stride = packed_tile_values(kTileRowsOfInputs, x.cols);
  uint16_t* packed = tiles_.take(packed_tile_values(x.rows, x.cols));
  const int64_t row_tiles = (x.rows + kTileRowsOfInputs - 1) / kTileRowsOfInputs;
  for_rows(row_tiles, kTileRowsOfInputs * x.cols / 4, [&](int64_t tile) {
    const float* rows[kTileRowsOfInputs] = {};
    const int64_t first = tile * kTileRowsOfInputs;
    const int64_t count = std::min(kTileRowsOfInputs, x.rows - first);
    for (int64_t t = 0; t < count; ++t) rows[t] = x.row(first + t);
    kernels_.tiles.pack(packed + tile * stride, rows, count, x.cols);
  });
  reserve_tiles(0, x.cols);
  list_tile_tasks(parts);
  const auto ranges = static_cast<int64_t>(linear_tasks_.size());
  const int64_t chunks = (x.rows + kTileProductRows - 1) / kTileProductRows;
  pool_.run(chunks * ranges, [&](int64_t i, int worker) {
    const LinearTask& task = linear_tasks_[static_cast<size_t>(i % ranges)];
    const LinearPart& part = parts[static_cast<size_t>(task.part)];
    const int64_t first = i / ranges * kTileProductRows;
    const int64_t rows = std::min(kTileProductRows, x.rows - first);
    float* out[kTileProductRows] = {};
    for (int64_t t = 0; t < rows; ++t) out[t] = part.y.row(first + t) + task.tile * kPanelRows;
    multiply_tiles(out, packed + first / kTileRowsOfInputs * stride, rows,
                   static_cast<const CpuMatrix&>(*part.w).view, task.tile, task.tiles, worker);
  });
}

}  // namespace headgate
