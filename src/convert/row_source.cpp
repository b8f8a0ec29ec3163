// Streaming of rows: raw bytes in runs, decoding and encoding on all threads.
#include "convert/row_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

constexpr int64_t kPieceFloats = int64_t{2} << 20;  // 8 MiB of fp32 at a time
constexpr int64_t kRowsPerTask = 16;
constexpr int64_t kScaleBlock = 128;

// fp32 block scales [rows / 128, cols / 128] of an F8 tensor.
std::vector<float> read_scales(const TensorStore& store, const TensorEntry& entry) {
  const TensorEntry& scales = store.require(entry.name + "_scale_inv");
  const int64_t blocks = (entry.cols() + kScaleBlock - 1) / kScaleBlock;
  const int64_t expected = (entry.rows() + kScaleBlock - 1) / kScaleBlock * blocks;
  if (scales.elements() != expected) {
    fail(ErrorCode::kInvalidFile, "{}: {} scales, expected {}", store.describe(scales),
         scales.elements(), expected);
  }
  std::vector<float> values(static_cast<size_t>(expected));
  const std::span<const std::byte> bytes = store.data(scales);
  if (scales.dtype == DType::kU8 || scales.dtype == DType::kF8E8M0) {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = std::ldexp(1.0f, static_cast<int>(bytes[i]) - 127);
  } else {
    dequantize_row(scales.dtype, bytes.data(), values.data(), expected);
  }
  return values;
}

float transformed(ValueTransform transform, float x) {
  switch (transform) {
    case ValueTransform::kCopy:
      return x;
    case ValueTransform::kPlusOne:
      return x + 1.0f;
    case ValueTransform::kMinusOne:
      return x - 1.0f;
    case ValueTransform::kMinusExp:
      return -std::exp(x);
    case ValueTransform::kLogMinus:
      return std::log(-x);
  }
  return x;
}

// Raw bytes of the rows and what decoding them takes.
struct RawRows {
  struct Place {
    size_t part;
    int64_t row;     // within the part
    int64_t offset;  // of its bytes
  };
  std::vector<Place> places;  // of each output row
  std::vector<std::byte> bytes;
  std::vector<std::vector<float>> scales;  // by part, F8 only
};

RawRows::Place find_place(const RowSource& source, int64_t row) {
  int64_t mapped = source.row_map ? source.row_map(row) : row;
  size_t part = 0;
  while (mapped >= source.parts[part]->rows()) mapped -= source.parts[part++]->rows();
  return {part, mapped, 0};
}

RawRows read_raw(const TensorStore& store, const PlannedTensor& tensor, int64_t first,
                 int64_t count) {
  const RowSource& source = tensor.source;
  RawRows raw;
  raw.scales.resize(source.parts.size());
  int64_t bytes = 0;
  for (int64_t r = 0; r < count; ++r) {
    RawRows::Place place = find_place(source, first + r);
    place.offset = bytes;
    const TensorEntry& entry = *source.parts[place.part];
    bytes += row_bytes(entry.dtype, entry.cols());
    raw.places.push_back(place);
  }
  raw.bytes.resize(static_cast<size_t>(bytes));
  for (size_t r = 0; r < raw.places.size();) {
    const RawRows::Place& place = raw.places[r];
    size_t run = 1;
    while (r + run < raw.places.size() && raw.places[r + run].part == place.part &&
           raw.places[r + run].row == place.row + static_cast<int64_t>(run)) {
      ++run;
    }
    const TensorEntry& entry = *source.parts[place.part];
    const int64_t bytes_per_row = row_bytes(entry.dtype, entry.cols());
    store.read(entry, place.row * bytes_per_row,
               std::span(raw.bytes).subspan(static_cast<size_t>(place.offset),
                                            run * static_cast<size_t>(bytes_per_row)));
    std::vector<float>& scales = raw.scales[place.part];
    if (entry.dtype == DType::kF8E4M3 && scales.empty() &&
        store.find(entry.name + "_scale_inv") != nullptr) {
      scales = read_scales(store, entry);
    }
    r += run;
  }
  return raw;
}

void decode_row(const RowSource& source, const RawRows& raw, int64_t r, float* out,
                std::vector<float>& spare) {
  const RawRows::Place& place = raw.places[static_cast<size_t>(r)];
  const TensorEntry& entry = *source.parts[place.part];
  const int64_t cols = entry.cols();
  const std::byte* bytes = raw.bytes.data() + place.offset;
  const std::vector<float>& scales = raw.scales[place.part];
  if (scales.empty()) {
    dequantize_row(entry.dtype, bytes, out, cols);
  } else {
    const int64_t blocks = (cols + kScaleBlock - 1) / kScaleBlock;
    dequantize_fp8_row(bytes, scales.data() + place.row / kScaleBlock * blocks, out, cols);
  }
  if (!source.column_map.empty()) {
    spare.assign(out, out + cols);
    for (int64_t c = 0; c < cols; ++c)
      out[c] = spare[static_cast<size_t>(source.column_map[static_cast<size_t>(c)])];
  }
  if (source.transform != ValueTransform::kCopy) {
    for (int64_t c = 0; c < cols; ++c) out[c] = transformed(source.transform, out[c]);
  }
}

void copy_bytes(const TensorStore& store, const TensorEntry& entry, TensorWriter& writer) {
  constexpr int64_t kPieceBytes = int64_t{16} << 20;
  std::vector<std::byte> piece;
  for (int64_t offset = 0; offset < entry.bytes; offset += kPieceBytes) {
    piece.resize(static_cast<size_t>(std::min(kPieceBytes, entry.bytes - offset)));
    store.read(entry, offset, piece);
    writer.write(piece);
  }
}

}  // namespace

int64_t PlannedTensor::cols() const { return shape.empty() ? 1 : shape.back(); }

int64_t PlannedTensor::rows() const {
  int64_t count = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) count *= shape[i];
  return count;
}

int64_t PlannedTensor::source_bytes() const {
  int64_t bytes = 0;
  for (const TensorEntry* part : source.parts) bytes += part->bytes;
  // A tensor that takes some rows of a fused one shares its bytes with the others.
  int64_t elements = 0;
  for (const TensorEntry* part : source.parts) elements += part->elements();
  const double share =
      elements > 0 ? static_cast<double>(rows() * cols()) / static_cast<double>(elements) : 1.0;
  return static_cast<int64_t>(static_cast<double>(bytes) * std::min(share, 1.0));
}

void read_rows(const TensorStore& store, const PlannedTensor& tensor, int64_t first, int64_t count,
               ThreadPool& pool, float* out) {
  const RawRows raw = read_raw(store, tensor, first, count);
  const int64_t cols = tensor.source.parts.front()->cols();
  pool.run((count + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
    std::vector<float> spare;
    const int64_t end = std::min(count, (task + 1) * kRowsPerTask);
    for (int64_t r = task * kRowsPerTask; r < end; ++r)
      decode_row(tensor.source, raw, r, out + r * cols, spare);
  });
}

bool is_plain_copy(const PlannedTensor& tensor, DType type) {
  const RowSource& source = tensor.source;
  return source.parts.size() == 1 && !source.row_map && source.column_map.empty() &&
         source.transform == ValueTransform::kCopy && source.parts[0]->dtype == type &&
         source.parts[0]->elements() == tensor.rows() * tensor.cols();
}

void write_tensor(const TensorStore& store, const PlannedTensor& tensor, DType type,
                  ThreadPool& pool, TensorWriter& writer) {
  // Encoding decoded blocks anew would not give the same blocks.
  if (is_plain_copy(tensor, type)) return copy_bytes(store, *tensor.source.parts[0], writer);
  // The source's own rows: a [1, n] or [channels, 1, kernel] tensor keeps its row length.
  const int64_t cols = tensor.source.parts.front()->cols();
  const int64_t rows = tensor.rows() * tensor.cols() / std::max<int64_t>(cols, 1);
  const int64_t out_cols = tensor.cols();
  const int64_t piece = std::max<int64_t>(1, kPieceFloats / std::max<int64_t>(cols, 1));
  std::vector<float> values(static_cast<size_t>(std::min(piece, rows) * cols));
  std::vector<std::byte> encoded;
  for (int64_t first = 0; first < rows; first += piece) {
    const int64_t count = std::min(piece, rows - first);
    read_rows(store, tensor, first, count, pool, values.data());
    const int64_t out_rows = count * cols / out_cols;
    const int64_t bytes = row_bytes(type, out_cols);
    encoded.resize(static_cast<size_t>(out_rows * bytes));
    pool.run((out_rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
      const int64_t end = std::min(out_rows, (task + 1) * kRowsPerTask);
      for (int64_t r = task * kRowsPerTask; r < end; ++r) {
        quantize_row(type, values.data() + r * out_cols, encoded.data() + r * bytes, out_cols);
      }
    });
    writer.write(encoded);
  }
}

void release_sources(const TensorStore& store, const PlannedTensor& tensor) {
  for (const TensorEntry* part : tensor.source.parts) store.release(*part);
}

}  // namespace headgate
