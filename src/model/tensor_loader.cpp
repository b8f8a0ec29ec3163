// Look-up, shape checks, FP8 scales and bookkeeping of used tensors.
#include "model/tensor_loader.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "tensor/codec.h"
#include "tensor/half.h"

namespace headgate {
namespace {

constexpr int64_t kScaleBlock = 128;
constexpr int64_t kReadAheadBytes = int64_t{32} << 20;

int64_t scale_blocks(int64_t n) { return (n + kScaleBlock - 1) / kScaleBlock; }

// Dimensions of one element are spelled differently by different writers.
std::vector<int64_t> without_ones(std::span<const int64_t> shape) {
  std::vector<int64_t> out;
  std::copy_if(shape.begin(), shape.end(), std::back_inserter(out),
               [](int64_t n) { return n != 1; });
  return out;
}

bool same_shape(std::span<const int64_t> a, std::span<const int64_t> b) {
  return without_ones(a) == without_ones(b);
}

// Exponent bytes (U8 and F8_E8M0 alike) or floats.
std::vector<float> decode_scales(const TensorStore& store, const TensorEntry& entry) {
  std::vector<float> out(static_cast<size_t>(entry.elements()));
  const std::span<const std::byte> bytes = store.data(entry);
  if (entry.dtype == DType::kU8 || entry.dtype == DType::kF8E8M0) {
    std::transform(bytes.begin(), bytes.end(), out.begin(),
                   [](std::byte b) { return fp8_e8m0_to_float(static_cast<uint8_t>(b)); });
  } else if (is_float(entry.dtype)) {
    dequantize_row(entry.dtype, bytes.data(), out.data(), entry.elements());
  } else {
    fail(ErrorCode::kUnsupported, "{}: scales of type {}, expected floats or U8 exponents",
         store.describe(entry), dtype_name(entry.dtype));
  }
  return out;
}

// Products that int8 activations cost the most: the gated outputs of mixers have far outliers, and
// errors of logits are errors of the answer. Measured on headgate-nano: these alone are two thirds
// of the KL divergence from exact activations.
bool wants_precision(Part part) {
  return part == Part::kAttentionOut || part == Part::kDeltaOut || part == Part::kLmHead ||
         part == Part::kEmbedding;
}

}  // namespace

TensorLoader::TensorLoader(const Checkpoint& checkpoint, const ModelConfig& config,
                           Backend& backend, const LoadProgress& progress, bool packed)
    : checkpoint_(checkpoint),
      config_(config),
      backend_(backend),
      progress_(progress),
      packed_(packed),
      gguf_(checkpoint.format == CheckpointFormat::kGguf),
      naming_(tensor_naming(config, checkpoint)),
      used_(checkpoint.tensors.tensors().size()) {
  for (const TensorEntry& entry : checkpoint.tensors.tensors()) {
    if (!expected_unused(entry)) total_bytes_ += entry.bytes;
  }
  // Where files and packed weights fit into memory together, the cache makes the next start fast;
  // where they do not, it would only push the weights out.
  const int64_t available = available_memory();
  direct_ = total_bytes_ > available / 2;
  too_large_ = total_bytes_ > available;
  if (too_large_ && !packed && !checkpoint.tensors.in_memory(0))
    log_warning("{}: {} MiB of weights, {} MiB of memory are free: floats stay in the mapped file",
                checkpoint.path, total_bytes_ >> 20, available >> 20);
  streams_.resize(checkpoint.tensors.paths().size());
}

const StreamFile* TensorLoader::stream_of(const TensorEntry& entry) {
  if (checkpoint_.tensors.in_memory(entry.file)) return nullptr;
  // What does not fit is left to the kernel to read and drop page by page.
  if (too_large_ && is_float(entry.dtype)) return nullptr;
  const auto index = static_cast<size_t>(entry.file);
  if (streams_[index] == nullptr)
    streams_[index] = std::make_unique<StreamFile>(checkpoint_.tensors.paths()[index], direct_);
  return streams_[index].get();
}

std::string TensorLoader::name(PartPlace place) const {
  return gguf_ ? gguf_tensor_name(naming_, place.part, place.layer)
               : hf_tensor_name(naming_, place.part, place.layer, place.expert);
}

const TensorEntry* TensorLoader::find(PartPlace place) const {
  const std::string full = name(place);
  return full.empty() ? nullptr : checkpoint_.tensors.find(full);
}

void TensorLoader::use(const TensorEntry& entry) {
  const auto index = static_cast<size_t>(&entry - checkpoint_.tensors.tensors().data());
  if (used_[index]) return;
  used_[index] = true;
  done_bytes_ += entry.bytes;
  // The tensors behind this one are likely to be asked for next.
  const StreamFile* file = packed_ ? nullptr : stream_of(entry);
  if (file != nullptr) file->will_need(entry.offset + entry.bytes, kReadAheadBytes);
  if (progress_ && !progress_(done_bytes_, std::max(done_bytes_, total_bytes_)))
    fail(ErrorCode::kCancelled, "{}: loading was cancelled", checkpoint_.path);
}

const TensorEntry& TensorLoader::require(PartPlace place, std::initializer_list<int64_t> shape) {
  const TensorEntry& entry = checkpoint_.tensors.require(name(place));
  if (!same_shape(entry.shape, {shape.begin(), shape.size()}))
    fail(ErrorCode::kInvalidFile, "{}: shape [{}], expected [{}]",
         checkpoint_.tensors.describe(entry), fmt::join(entry.shape, ", "), fmt::join(shape, ", "));
  if (!is_float(entry.dtype) && !is_quantized(entry.dtype))
    fail(ErrorCode::kUnsupported, "{}: type {}, expected floats or quantised blocks",
         checkpoint_.tensors.describe(entry), dtype_name(entry.dtype));
  use(entry);
  return entry;
}

const std::vector<float>& TensorLoader::scales_of(const TensorEntry& entry, int64_t matrices,
                                                  int64_t rows, int64_t cols) {
  static const std::vector<float> kNone;
  if (entry.dtype != DType::kF8E4M3) return kNone;
  for (const auto& [known, scales] : scales_) {
    if (known == &entry) return scales;
  }
  const TensorStore& store = checkpoint_.tensors;
  const TensorEntry* found = store.find(entry.name + "_scale_inv");
  if (found == nullptr) {
    if (store.find(entry.name + "_scale") != nullptr)
      fail(ErrorCode::kUnsupported,
           "{}: scaled by '{}_scale', expected 128x128 blocks '{}_scale_inv'",
           store.describe(entry), entry.name, entry.name);
    return kNone;
  }
  const int64_t shape[] = {matrices, scale_blocks(rows), scale_blocks(cols)};
  if (!same_shape(found->shape, shape))
    fail(ErrorCode::kInvalidFile, "{}: shape [{}], expected [{}]", store.describe(*found),
         fmt::join(found->shape, ", "),
         fmt::join(std::span(shape).subspan(matrices == 1 ? 1 : 0), ", "));
  use(*found);
  scales_.emplace_back(&entry, decode_scales(store, *found));
  return scales_.back().second;
}

MatrixSource TensorLoader::source(PartPlace place, int64_t rows, int64_t cols) {
  const TensorEntry& entry = require(place, {rows, cols});
  MatrixSource out;
  out.dtype = entry.dtype;
  out.rows = rows;
  out.cols = cols;
  out.bytes = checkpoint_.tensors.data(entry);
  out.file = stream_of(entry);
  out.file_offset = entry.offset;
  out.block_scales = scales_of(entry, 1, rows, cols);
  out.bytes_stay = true;
  return out;
}

MatrixSource TensorLoader::stacked_source(PartPlace place, int64_t count, int64_t stored_rows,
                                          int64_t cols, int64_t index, int64_t first,
                                          int64_t rows) {
  const TensorEntry& entry = require(place, {count, stored_rows, cols});
  const auto row = static_cast<size_t>(row_bytes(entry.dtype, cols));
  MatrixSource out;
  out.dtype = entry.dtype;
  out.rows = rows;
  out.cols = cols;
  const size_t from = static_cast<size_t>(index * stored_rows + first) * row;
  out.bytes = checkpoint_.tensors.data(entry).subspan(from, static_cast<size_t>(rows) * row);
  out.file = stream_of(entry);
  out.file_offset = entry.offset + static_cast<int64_t>(from);
  out.bytes_stay = true;
  const std::span<const float> scales = scales_of(entry, count, stored_rows, cols);
  if (scales.empty()) return out;
  if (first % kScaleBlock != 0)
    fail(ErrorCode::kUnsupported, "{}: FP8 rows split at {}, expected a multiple of {}",
         checkpoint_.tensors.describe(entry), first, kScaleBlock);
  const int64_t per_row = scale_blocks(cols);
  out.block_scales = scales.subspan(
      static_cast<size_t>((index * scale_blocks(stored_rows) + first / kScaleBlock) * per_row),
      static_cast<size_t>(scale_blocks(rows) * per_row));
  return out;
}

void TensorLoader::done_with(const TensorEntry& entry) {
  // Blocks are repacked: the stored bytes are not read again.
  if (is_quantized(entry.dtype)) checkpoint_.tensors.release(entry);
}

std::unique_ptr<Matrix> TensorLoader::matrix(PartPlace place, int64_t rows, int64_t cols,
                                             bool lookup_only) {
  MatrixSource from = source(place, rows, cols);
  from.lookup_only = lookup_only;
  from.precise = wants_precision(place.part);
  std::unique_ptr<Matrix> out = backend_.make_matrix(from);
  scales_.clear();
  if (!lookup_only) done_with(*find(place));
  return out;
}

std::unique_ptr<Matrix> TensorLoader::chosen_rows(PartPlace place, int64_t stored_rows,
                                                  int64_t cols, const std::vector<int64_t>& rows) {
  MatrixSource from = source(place, stored_rows, cols);
  from.rows = static_cast<int64_t>(rows.size());
  from.row_order = rows;
  std::unique_ptr<Matrix> out = backend_.make_matrix(from);
  scales_.clear();
  return out;
}

std::unique_ptr<ExpertStack> TensorLoader::experts(std::span<const ExpertSource> sources) {
  std::unique_ptr<ExpertStack> out = backend_.make_experts(sources);
  scales_.clear();
  return out;
}

std::vector<float> TensorLoader::vector(PartPlace place, std::initializer_list<int64_t> shape) {
  const TensorEntry& entry = require(place, shape);
  std::vector<float> out(static_cast<size_t>(entry.elements()));
  dequantize_row(entry.dtype, checkpoint_.tensors.data(entry).data(), out.data(), entry.elements());
  if (gguf_) return out;
  const PartTransform transform = part_name(place.part).transform;
  if (transform == PartTransform::kNorm && naming_.zero_centered_norm) {
    for (float& v : out) v += 1.0f;
  } else if (transform == PartTransform::kMinusExp) {
    for (float& v : out) v = -std::exp(v);
  }
  return out;
}

bool TensorLoader::expected_unused(const TensorEntry& entry) const {
  const std::string_view n = entry.name;
  const bool head = n == part_name(Part::kLmHead).hf || n == part_name(Part::kLmHead).gguf;
  const bool mtp_block = gguf_ && n.starts_with("blk.") && [&] {
    const auto address = parse_gguf_tensor_name(naming_, n);
    return address && address->layer >= naming_.trunk_layers;
  }();
  return (head && config_.tied_embeddings) || mtp_block || n.starts_with("mtp.") ||
         n.starts_with("model.visual.") || n.starts_with("visual.") ||
         n.ends_with("rotary_emb.inv_freq");
}

void TensorLoader::finish() {
  int64_t unused = 0;
  const TensorEntry* first = nullptr;
  const std::span<const TensorEntry> all = checkpoint_.tensors.tensors();
  for (size_t i = 0; i < all.size(); ++i) {
    if (used_[i] || expected_unused(all[i])) continue;
    if (unused++ == 0) first = &all[i];
  }
  if (first != nullptr)
    log_warning("{}: not used by {}, and {} more", checkpoint_.tensors.describe(*first),
                config_.family, unused - 1);
  if (progress_) progress_(done_bytes_, done_bytes_);
}

}  // namespace headgate
