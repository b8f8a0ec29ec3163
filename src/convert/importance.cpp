// Accumulation, averaging and the GGUF form of importance matrices.
#include "convert/importance.h"

#include <cmath>

#include "base/error.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";

std::vector<float> read_floats(const TensorStore& store, const TensorEntry& entry) {
  if (entry.dtype != DType::kF32) {
    fail(ErrorCode::kInvalidFile, "{}: type {}, expected f32", store.describe(entry),
         dtype_name(entry.dtype));
  }
  std::vector<float> values(static_cast<size_t>(entry.elements()));
  dequantize_row(DType::kF32, store.data(entry).data(), values.data(), entry.elements());
  for (const float value : values) {
    if (!std::isfinite(value) || value < 0.0f) {
      fail(ErrorCode::kInvalidFile, "{}: holds {}, expected finite values of at least 0",
           store.describe(entry), value);
    }
  }
  return values;
}

}  // namespace

void ImportanceMatrix::add(std::string_view tensor, int64_t matrices, int64_t matrix, int64_t cols,
                           std::span<const float> x) {
  HEADGATE_CHECK(matrix >= 0 && matrix < matrices && cols > 0);
  HEADGATE_CHECK(static_cast<int64_t>(x.size()) % cols == 0);
  Entry& entry = entries_[std::string(tensor)];
  if (entry.matrices == 0) {
    entry.matrices = matrices;
    entry.cols = cols;
    entry.sums.assign(static_cast<size_t>(matrices * cols), 0.0);
    entry.counts.assign(static_cast<size_t>(matrices), 0);
  }
  if (entry.matrices != matrices || entry.cols != cols) {
    fail(ErrorCode::kInvalidArgument, "importance: tensor {}: {} x {}, expected {} x {}", tensor,
         matrices, cols, entry.matrices, entry.cols);
  }
  double* sums = entry.sums.data() + matrix * cols;
  for (size_t i = 0; i < x.size(); ++i) {
    sums[static_cast<int64_t>(i) % cols] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  entry.counts[static_cast<size_t>(matrix)] += static_cast<int64_t>(x.size()) / cols;
}

const ImportanceMatrix::Entry* ImportanceMatrix::find(std::string_view tensor) const {
  const auto found = entries_.find(tensor);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<float> ImportanceMatrix::column_means(std::string_view tensor, int64_t matrix,
                                                  int64_t cols) const {
  const Entry* entry = find(tensor);
  if (entry == nullptr) return {};
  if (entry->cols != cols || (matrix >= entry->matrices && entry->matrices != 1)) {
    fail(ErrorCode::kInvalidFile, "importance: tensor {}: {} matrices of {} columns, expected {}",
         tensor, entry->matrices, entry->cols, cols);
  }
  const int64_t wanted = entry->matrices == 1 ? 0 : matrix;
  const bool reached = entry->counts[static_cast<size_t>(wanted)] > 0;
  std::vector<double> sums(static_cast<size_t>(cols), 0.0);
  int64_t count = 0;
  for (int64_t m = reached ? wanted : 0; m < (reached ? wanted + 1 : entry->matrices); ++m) {
    count += entry->counts[static_cast<size_t>(m)];
    for (int64_t c = 0; c < cols; ++c)
      sums[static_cast<size_t>(c)] += entry->sums[static_cast<size_t>(m * cols + c)];
  }
  if (count == 0) return {};
  std::vector<float> means(sums.size());
  for (size_t c = 0; c < means.size(); ++c) {
    means[c] = static_cast<float>(sums[c] / static_cast<double>(count));
  }
  return means;
}

void ImportanceMatrix::save(const std::string& path, const std::string& dataset,
                            int64_t tokens) const {
  GgufMetadata metadata;
  metadata.set_text("general.type", "imatrix");
  metadata.set_texts("imatrix.datasets", {dataset});
  metadata.set_u32("imatrix.chunk_count", 1);
  metadata.set_u32("imatrix.chunk_size", tokens);
  GgufWriter writer(path, metadata);
  for (const auto& [name, entry] : entries_) {
    writer.declare(name + std::string(kSums), DType::kF32, {entry.matrices, entry.cols});
    writer.declare(name + std::string(kCounts), DType::kF32, {entry.matrices, 1});
  }
  for (const auto& [name, entry] : entries_) {
    const std::vector<float> sums(entry.sums.begin(), entry.sums.end());
    const std::vector<float> counts(entry.counts.begin(), entry.counts.end());
    writer.write(std::as_bytes(std::span(sums)));
    writer.write(std::as_bytes(std::span(counts)));
  }
  writer.finish();
}

ImportanceMatrix ImportanceMatrix::load(const std::string& path) {
  TensorStore store;
  const GgufMetadata metadata = open_gguf(store, path);
  if (metadata.text("general.type").value_or("") != "imatrix") {
    fail(ErrorCode::kInvalidFile,
         "{}: general.type is not 'imatrix', expected an importance matrix", path);
  }
  ImportanceMatrix matrix;
  for (const TensorEntry& sums : store.tensors()) {
    if (!sums.name.ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    const TensorEntry& counts = store.require(name + std::string(kCounts));
    if (counts.elements() != sums.rows() || sums.elements() == 0) {
      fail(ErrorCode::kInvalidFile, "{}: {} counts, expected {}", store.describe(counts),
           counts.elements(), sums.rows());
    }
    Entry& entry = matrix.entries_[name];
    entry.matrices = sums.rows();
    entry.cols = sums.cols();
    for (const float v : read_floats(store, sums)) entry.sums.push_back(v);
    for (const float v : read_floats(store, counts)) {
      entry.counts.push_back(static_cast<int64_t>(std::min(v, 1e18f)));
    }
  }
  return matrix;
}

}  // namespace headgate
