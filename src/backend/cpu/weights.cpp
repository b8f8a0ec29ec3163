// Choosing layouts, packing, and reading single rows back.
#include "backend/cpu/weights.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/random.h"
#include "kernels/pack.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

// The most bytes a stored row of a packable type takes per 256 inputs (Q8_0).
constexpr int64_t kStoredBlockBytes = 272;

void check_source(const MatrixSource& s) {
  if (s.rows <= 0 || s.cols <= 0)
    fail(ErrorCode::kInvalidArgument, "matrix: shape [{}, {}], expected at least [1, 1]", s.rows,
         s.cols);
  const DTypeInfo& info = dtype_info(s.dtype);
  if (s.cols % info.block_elements != 0)
    fail(ErrorCode::kInvalidArgument, "matrix: {} columns of {}, expected a multiple of {}", s.cols,
         info.name, info.block_elements);
  const int64_t row = row_bytes(s.dtype, s.cols);
  const auto stored = static_cast<int64_t>(s.bytes.size());
  const bool selects = !s.row_order.empty();
  if (selects ? stored % row != 0 : stored / row != s.rows || stored % row != 0)
    fail(ErrorCode::kInvalidArgument, "matrix [{}, {}] of {}: {} bytes, expected {}", s.rows,
         s.cols, info.name, stored, s.rows * row);
  if (selects && static_cast<int64_t>(s.row_order.size()) != s.rows)
    fail(ErrorCode::kInvalidArgument, "matrix: row order of {} rows, expected {}",
         s.row_order.size(), s.rows);
  for (const int64_t r : s.row_order) {
    if (r < 0 || r >= stored / row)
      fail(ErrorCode::kInvalidArgument, "matrix: row order names row {} of {}", r, stored / row);
  }
  if (s.block_scales.empty()) return;
  const int64_t scales =
      (stored / row + kScaleBlock - 1) / kScaleBlock * ((s.cols + kScaleBlock - 1) / kScaleBlock);
  if (s.dtype != DType::kF8E4M3 || static_cast<int64_t>(s.block_scales.size()) != scales)
    fail(ErrorCode::kInvalidArgument, "matrix of {}: {} block scales, expected {}", info.name,
         s.block_scales.size(), s.dtype == DType::kF8E4M3 ? scales : 0);
}

// Rows that are looked up one by one, and memory that stays anyway, are not copied. What lies in a
// file is: faulting a map in page by page reads several times slower, and small pages slow every
// later pass down.
bool reads_source(const WeightView& view, const MatrixSource& source, bool pack) {
  if (view.layout == WeightLayout::kPanels || !source.bytes_stay) return false;
  return !pack || source.lookup_only || source.file == nullptr;
}

WeightLayout choose_layout(const MatrixSource& source, const WeightOptions& options) {
  const DType t = source.dtype;
  if (t == DType::kF32 || t == DType::kF16 || t == DType::kBF16) return WeightLayout::kFloatRows;
  const bool packable = panel_format(t).has_value() && options.pack && !options.exact;
  return packable && !source.lookup_only ? WeightLayout::kPanels : WeightLayout::kCodedRows;
}

}  // namespace

int64_t WeightView::panel_bytes() const { return blocks() * panel_block_bytes(panel); }

int64_t WeightView::bytes() const {
  return layout == WeightLayout::kPanels ? tiles() * panel_bytes() : rows * row_bytes;
}

void WeightView::decode_row(float* out, int64_t row) const {
  if (layout == WeightLayout::kPanels) {
    const std::byte* at = data + row / kPanelRows * panel_bytes();
    std::byte stored[kStoredBlockBytes];
    for (int64_t col = 0; col < cols; col += kBlockInputs) {
      const int64_t n = std::min<int64_t>(kBlockInputs, cols - col);
      unpack_row(panel, at, static_cast<int>(row % kPanelRows), stored, n);
      dequantize_row(dtype, stored, out + col, n);
      at += panel_block_bytes(panel);
    }
    return;
  }
  if (block_scales.empty()) return dequantize_row(dtype, row_data(row), out, cols);
  dequantize_fp8_row(row_data(row), scales_of_row(row), out, cols);
}

WeightView plan_weights(const MatrixSource& source, const WeightOptions& options) {
  if (!is_float(source.dtype) && !is_quantized(source.dtype))
    fail(ErrorCode::kUnsupported, "matrix: weights of type {}, expected floats or quantised blocks",
         dtype_name(source.dtype));
  check_source(source);
  WeightView view;
  view.layout = choose_layout(source, options);
  view.dtype = source.dtype;
  view.rows = source.rows;
  view.cols = source.cols;
  view.row_bytes = row_bytes(source.dtype, source.cols);
  view.format = source.dtype == DType::kF16    ? kFloatF16
                : source.dtype == DType::kBF16 ? kFloatBF16
                                               : kFloatF32;
  if (view.wants_codes()) view.panel = *panel_format(source.dtype);
  view.precise = view.wants_codes() && source.precise;
  view.block_scales.assign(source.block_scales.begin(), source.block_scales.end());
  view.in_place = reads_source(view, source, options.pack);
  // Rows that are copied are copied in order; block scales still need the stored row.
  if (view.in_place || !view.block_scales.empty())
    view.row_order.assign(source.row_order.begin(), source.row_order.end());
  return view;
}

std::vector<std::byte> narrowed(const MatrixSource& source) {
  if (source.dtype != DType::kF32) return {};
  const size_t count = source.bytes.size() / sizeof(uint32_t);
  std::vector<std::byte> out(count * sizeof(uint16_t));
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &source.bytes[i * sizeof bits], sizeof bits);
    if ((bits & 0xffff) != 0) return {};
    const auto high = static_cast<uint16_t>(bits >> 16);
    std::memcpy(&out[i * sizeof high], &high, sizeof high);
  }
  return out;
}

int64_t placed_bytes(const WeightView& view, const MatrixSource& source) {
  if (view.in_place) return 0;
  if (!view.row_order.empty()) return static_cast<int64_t>(source.bytes.size());
  return view.bytes();
}

void place_tile_rows(const WeightView& view, const std::byte* rows, std::byte* to, int64_t tile) {
  const int64_t first = tile * kPanelRows;
  const int64_t count = std::min<int64_t>(kPanelRows, view.rows - first);
  if (!view.wants_codes()) {
    std::memcpy(to + first * view.row_bytes, rows, static_cast<size_t>(count * view.row_bytes));
    return;
  }
  std::byte* panel = to + tile * view.panel_bytes();
  for (int64_t n = 0; n < count; ++n)
    pack_row(view.panel, panel, static_cast<int>(n), rows + n * view.row_bytes, view.cols);
}

void place_tile(const WeightView& view, const MatrixSource& source, std::byte* to, int64_t tile) {
  const int64_t first = tile * kPanelRows;
  if (source.row_order.empty()) {
    place_tile_rows(view, source.bytes.data() + first * view.row_bytes, to, tile);
    return;
  }
  const int64_t last = std::min(view.rows, first + kPanelRows);
  for (int64_t row = first; row < last; ++row) {
    const int64_t from = source.row_order[static_cast<size_t>(row)];
    const std::byte* stored = source.bytes.data() + from * view.row_bytes;
    if (view.wants_codes()) {
      pack_row(view.panel, to + tile * view.panel_bytes(), static_cast<int>(row - first), stored,
               view.cols);
    } else {
      // With an order the copy stays in stored order, else in the order of the rows.
      const int64_t at = view.row_order.empty() ? row : from;
      std::memcpy(to + at * view.row_bytes, stored, static_cast<size_t>(view.row_bytes));
    }
  }
}

uint64_t layout_signature(const WeightView& view, const MatrixSource& source) {
  uint64_t hash = mix_bits(kPackedLayoutVersion);
  const auto add = [&hash](int64_t value) { hash = mix_bits(hash ^ static_cast<uint64_t>(value)); };
  add(static_cast<int64_t>(view.layout));
  add(view.wants_codes() ? static_cast<int64_t>(view.panel) : static_cast<int64_t>(view.format));
  add(static_cast<int64_t>(view.dtype));
  add(view.rows);
  add(view.cols);
  add(view.wants_codes() ? view.panel_bytes() : view.row_bytes);
  add(static_cast<int64_t>(source.bytes.size()));
  add(static_cast<int64_t>(source.row_order.size()));
  for (const int64_t row : source.row_order) add(row);
  return hash;
}

}  // namespace headgate
