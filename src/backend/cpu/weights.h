// Weight matrices of the CPU backend: how their values lie in memory.
#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/huge_buffer.h"
#include "kernels/kernel_table.h"

namespace headgate {

constexpr int64_t kScaleBlock = 128;  // scales of F8_E4M3 cover 128 x 128 weights

enum class WeightLayout {
  kFloatRows,  // stored rows of F32, F16 or BF16, read as they are
  kCodedRows,  // stored rows of any other type, decoded to fp32 a tile at a time
  kPanels      // packed panels, multiplied with int8 activations
};

// Reads one matrix; owns only the small tables.
struct WeightView {
  WeightLayout layout = WeightLayout::kFloatRows;
  FloatFormat format = kFloatF32;  // of kFloatRows
  PanelFormat panel = kPanelQ4K;   // of kPanels
  DType dtype = DType::kF32;
  int64_t rows = 0, cols = 0;
  const std::byte* data = nullptr;
  int64_t row_bytes = 0;            // of a stored row
  bool in_place = false;            // data is the source's own
  bool precise = false;             // panels meet codes and residuals
  std::vector<int64_t> row_order;   // stored row of each row; empty: the identity
  std::vector<float> block_scales;  // of F8_E4M3, by 128 x 128

  int64_t tiles() const { return (rows + kPanelRows - 1) / kPanelRows; }
  int64_t blocks() const { return (cols + kBlockInputs - 1) / kBlockInputs; }
  int64_t panel_bytes() const;  // of one panel
  int64_t bytes() const;        // read by one pass
  bool wants_codes() const { return layout == WeightLayout::kPanels; }
  int64_t stored_row(int64_t row) const {
    return row_order.empty() ? row : row_order[static_cast<size_t>(row)];
  }
  const std::byte* row_data(int64_t row) const { return data + stored_row(row) * row_bytes; }
  // Scales of the row's blocks of F8_E4M3; null when there are none.
  const float* scales_of_row(int64_t row) const {
    if (block_scales.empty()) return nullptr;
    return block_scales.data() +
           stored_row(row) / kScaleBlock * ((cols + kScaleBlock - 1) / kScaleBlock);
  }

  // Row `row` as fp32 (cols values), whatever the layout.
  void decode_row(float* out, int64_t row) const;
};

struct WeightOptions {
  bool pack = true;  // false: read mapped files where they lie
  bool exact = false;
};

// The view `source` gets under `options`, its data not placed yet. Throws kUnsupported and
// kInvalidArgument.
WeightView plan_weights(const MatrixSource& source, const WeightOptions& options);

// The source's values as bf16 when it holds fp32 that bf16 holds as well (routers of GGUF files
// were bf16 before they were written): half the bytes to read, the same values. Else empty.
std::vector<std::byte> narrowed(const MatrixSource& source);

// Bytes that placing the planned view takes: 0 when it reads the source's own bytes. The caller
// sets view.data to the source's bytes or to the memory that placing filled (placement.h).
int64_t placed_bytes(const WeightView& view, const MatrixSource& source);

// Copies or packs the rows of one tile into the (zeroed) memory of the matrix at `to`. Tiles may be
// placed in any order and by any thread.
void place_tile(const WeightView& view, const MatrixSource& source, std::byte* to, int64_t tile);

// The same where the stored rows of the tile, in order, lie at `rows`.
void place_tile_rows(const WeightView& view, const std::byte* rows, std::byte* to, int64_t tile);

// Tells layouts, types and shapes of placed weights apart, whatever the machine: what a packed
// image of them is checked with. Includes kPackedLayoutVersion.
uint64_t layout_signature(const WeightView& view, const MatrixSource& source);

// Raised whenever place_tile puts the same weights elsewhere.
constexpr uint32_t kPackedLayoutVersion = 1;

struct CpuMatrix final : Matrix {
  CpuMatrix(WeightView v, HugeBuffer m)
      : Matrix(v.rows, v.cols, v.dtype), view(std::move(v)), memory(std::move(m)) {
    bytes_ = view.bytes();
  }
  WeightView view;
  HugeBuffer memory;                   // or
  std::shared_ptr<const void> shared;  // keeps a packed image mapped
};

struct CpuExpert {
  WeightView gate, up, down;
};

struct CpuExperts final : ExpertStack {
  std::vector<CpuExpert> list;
  HugeBuffer memory;
  std::shared_ptr<const void> shared;  // keeps a packed image mapped
  void set_sizes() {
    experts_ = static_cast<int64_t>(list.size());
    bytes_per_expert_ =
        list.empty() ? 0 : list[0].gate.bytes() + list[0].up.bytes() + list[0].down.bytes();
  }
};

}  // namespace headgate
