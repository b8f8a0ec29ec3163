// Matrix products: tiles of 16 outputs times chunks of tokens.
#include <algorithm>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kChunkTokens = 128;  // int8 activations of a chunk stay in L2
constexpr int64_t kTaskProducts = 1 << 20;
// Panels are multiplied in pairs, and the first block of a task is not fetched ahead.
constexpr int64_t kLeastTiles = 4;
constexpr int64_t kTasksPerThread = 8;
constexpr int64_t kFloatTaskBytes = 256 << 10;  // floats take long to read

// x less the value of its codes.
void residual(float* out, const float* x, const ActivationBlock& block, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = x[i] - block.scale[i / kGroupInputs] * static_cast<float>(block.code[i]);
}

}  // namespace

LinearInputs CpuBackend::prepare_inputs(View x, bool codes, bool precise) {
  LinearInputs inputs;
  const float** rows = input_rows_.take(x.rows);
  for (int64_t t = 0; t < x.rows; ++t) rows[t] = x.row(t);
  inputs.rows = rows;
  if (!codes) return inputs;
  const int64_t blocks = (x.cols + kBlockInputs - 1) / kBlockInputs;
  const ActivationBlock** code_rows = input_codes_.take(x.rows);
  ActivationBlock* all = codes_.take(x.rows * blocks);
  for (int64_t t = 0; t < x.rows; ++t) code_rows[t] = all + t * blocks;
  const int64_t padded = x.cols % kBlockInputs;
  ActivationBlock* rest = residuals_.take(precise ? x.rows * blocks : 0);
  for_rows(x.rows, precise ? x.cols : x.cols / 2, [&](int64_t t) {
    ActivationBlock* row = all + t * blocks;
    if (padded != 0) row[blocks - 1] = ActivationBlock{};
    kernels_.quantize(row, x.row(t), x.cols, 0);
    for (int64_t b = 0; precise && b < blocks; ++b) {
      const int64_t n = std::min<int64_t>(kBlockInputs, x.cols - b * kBlockInputs);
      float left[kBlockInputs];
      residual(left, x.row(t) + b * kBlockInputs, row[b], n);
      ActivationBlock& block = rest[t * blocks + b];
      if (n < kBlockInputs) block = ActivationBlock{};
      kernels_.quantize(&block, left, n, 0);
    }
  });
  inputs.codes = code_rows;
  if (!precise) return inputs;
  const ActivationBlock** precise_rows = precise_codes_.take(2 * x.rows);
  for (int64_t t = 0; t < x.rows; ++t) {
    precise_rows[2 * t] = all + t * blocks;
    precise_rows[2 * t + 1] = rest + t * blocks;
  }
  inputs.precise = precise_rows;
  return inputs;
}

void CpuBackend::reserve_decode(const WeightView& w) {
  if (w.layout != WeightLayout::kCodedRows) return;
  for (Scratch<float>& buffer : decoded_) buffer.take(kTileRows * w.cols);
}

void CpuBackend::decode_weights(float* to, const WeightView& w, int64_t row) const {
  if (w.dtype != DType::kF8E4M3) return w.decode_row(to, row);
  const auto* codes = reinterpret_cast<const uint8_t*>(w.row_data(row));
  const float* scales = w.scales_of_row(row);
  for (int64_t col = 0; col < w.cols; col += kScaleBlock) {
    const int64_t n = std::min(kScaleBlock, w.cols - col);
    kernels_.fp8_floats(to + col, codes + col, scales != nullptr ? *scales++ : 1.0f, n);
  }
}

void CpuBackend::multiply_coded(float* const* y, const float* const* x, int64_t tokens,
                                const WeightView& w, int64_t first_tile, int64_t tiles,
                                int worker) {
  const bool decode = w.layout == WeightLayout::kCodedRows;
  float* decoded = decoded_[static_cast<size_t>(worker)].data();
  const void* weights[kTileRows];
  float* out[kChunkTokens];
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t first = (first_tile + tile) * kTileRows;
    const int64_t rows = std::min<int64_t>(kTileRows, w.rows - first);
    for (int64_t r = 0; r < rows; ++r) {
      if (decode) {
        decode_weights(decoded + r * w.cols, w, first + r);
        weights[r] = decoded + r * w.cols;
      } else {
        weights[r] = w.row_data(first + r);
      }
    }
    for (int64_t t = 0; t < tokens; ++t) out[t] = y[t] + tile * kTileRows;
    kernels_.dot_rows[decode ? kFloatF32 : w.format](out, x, tokens, weights, rows, w.cols);
  }
}

void CpuBackend::multiply_panels(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                                 const WeightView& w, int64_t first_tile, int64_t tiles) {
  const int64_t last_rows = w.rows % kPanelRows;
  const bool partial = last_rows != 0 && first_tile + tiles == w.tiles();
  const int64_t whole = partial ? tiles - 1 : tiles;
  const std::byte* panels = w.data + first_tile * w.panel_bytes();
  const auto dot = kernels_.panel_dot[w.panel];
  if (whole > 0) dot(y, x, tokens, panels, whole, w.blocks());
  if (!partial) return;
  // The last panel has rows that y has no room for.
  constexpr int64_t kPiece = 16;
  float full[kPiece][kPanelRows];
  float* out[kPiece];
  for (int64_t i = 0; i < kPiece; ++i) out[i] = full[i];
  for (int64_t t = 0; t < tokens; t += kPiece) {
    const int64_t n = std::min(kPiece, tokens - t);
    dot(out, x + t, n, panels + whole * w.panel_bytes(), 1, w.blocks());
    for (int64_t i = 0; i < n; ++i) std::copy_n(full[i], last_rows, y[t + i] + whole * kPanelRows);
  }
}

// The weights are read once for both rows of a token.
void CpuBackend::multiply_precise(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                                  const WeightView& w, int64_t first_tile, int64_t tiles,
                                  int worker) {
  const int64_t width = std::min(tiles * kPanelRows, w.rows - first_tile * kPanelRows);
  float* sums = residual_sums_[static_cast<size_t>(worker)].data();
  float* out[2 * kChunkTokens] = {};
  for (int64_t t = 0; t < tokens; ++t) {
    out[2 * t] = y[t];
    out[2 * t + 1] = sums + t * tiles * kPanelRows;
  }
  multiply_panels(out, x, 2 * tokens, w, first_tile, tiles);
  for (int64_t t = 0; t < tokens; ++t) kernels_.add_scaled(y[t], out[2 * t + 1], 1.0f, width);
}

void CpuBackend::multiply(float* const* y, const LinearInputs& x, int64_t tokens,
                          const WeightView& w, int64_t first_tile, int64_t tiles, int worker) {
  HEADGATE_DCHECK(tokens <= kChunkTokens);
  if (x.tiles != nullptr && w.wants_codes()) {
    multiply_tiles(y, x.tiles, tokens, w, first_tile, tiles, worker);
  } else if (w.precise) {
    multiply_precise(y, x.precise, tokens, w, first_tile, tiles, worker);
  } else if (w.wants_codes()) {
    multiply_panels(y, x.codes, tokens, w, first_tile, tiles);
  } else {
    multiply_coded(y, x.rows, tokens, w, first_tile, tiles, worker);
  }
}

void CpuBackend::linear(MutView y, View x, const Matrix& matrix) {
  const LinearPart part{y, &matrix};
  linear_group({&part, 1}, x);
}

void CpuBackend::linear_group(std::span<const LinearPart> parts, View x) {
  const bool large = has_tiles_ && x.rows >= kTileStepRows;
  if (!large || (independent_rows_ && !has_matrix_unit_)) return linear_codes(parts, x);
  tile_parts_.clear();
  coded_parts_.clear();
  for (const LinearPart& part : parts) {
    const WeightView& w = static_cast<const CpuMatrix&>(*part.w).view;
    // Dot products of bf16 beat two products of bytes, not one. The head, which has more outputs
    // than inputs, keeps 16 bits: its outputs are the answer.
    const bool tiles = w.wants_codes() && (has_matrix_unit_ || (w.precise && w.rows <= w.cols));
    (tiles ? tile_parts_ : coded_parts_).push_back(part);
  }
  linear_tiles(tile_parts_, x);
  linear_codes(coded_parts_, x);
}

void CpuBackend::linear_codes(std::span<const LinearPart> parts, View x) {
  bool codes = false, precise = false;
  for (const LinearPart& part : parts) {
    const WeightView& w = static_cast<const CpuMatrix&>(*part.w).view;
    HEADGATE_CHECK(x.cols == w.cols && part.y.cols == w.rows && x.rows == part.y.rows);
    codes = codes || w.wants_codes();
    precise = precise || w.precise;
    reserve_decode(w);
  }
  if (x.rows == 0 || parts.empty()) return;
  const LinearInputs inputs = prepare_inputs(x, codes, precise);
  const int64_t chunks = (x.rows + kChunkTokens - 1) / kChunkTokens;
  const int64_t chunk_tokens = std::min(kChunkTokens, x.rows);
  const int64_t most_tiles = list_linear_tasks(parts, chunk_tokens);
  if (precise) {
    for (Scratch<float>& sums : residual_sums_) sums.take(chunk_tokens * most_tiles * kPanelRows);
  }
  const auto ranges = static_cast<int64_t>(linear_tasks_.size());
  pool_.run(chunks * ranges, [&](int64_t i, int worker) {
    const LinearTask& task = linear_tasks_[static_cast<size_t>(i % ranges)];
    const LinearPart& part = parts[static_cast<size_t>(task.part)];
    const WeightView& w = static_cast<const CpuMatrix&>(*part.w).view;
    const int64_t first_token = i / ranges * kChunkTokens;
    const int64_t tokens = std::min(kChunkTokens, x.rows - first_token);
    float* out[kChunkTokens];
    for (int64_t t = 0; t < tokens; ++t)
      out[t] = part.y.row(first_token + t) + task.tile * kTileRows;
    LinearInputs chunk = inputs;
    chunk.rows += first_token;
    if (chunk.codes != nullptr) chunk.codes += first_token;
    if (chunk.precise != nullptr) chunk.precise += 2 * first_token;
    multiply(out, chunk, tokens, w, task.tile, task.tiles, worker);
  });
}

// Splits the parts into ranges of tiles that cost about as much each; returns the longest.
int64_t CpuBackend::list_linear_tasks(std::span<const LinearPart> parts, int64_t tokens) {
  linear_tasks_.clear();
  int64_t all_tiles = 0, longest = 0;
  for (const LinearPart& part : parts) all_tiles += (part.w->rows() + kTileRows - 1) / kTileRows;
  const int64_t share = all_tiles / (kTasksPerThread * pool_.threads());
  for (size_t p = 0; p < parts.size(); ++p) {
    const WeightView& w = static_cast<const CpuMatrix&>(*parts[p].w).view;
    // One token costs about as much as four: the weights have to be read.
    const int64_t tile_products = kTileRows * w.cols * std::max<int64_t>(tokens, 4);
    const int64_t even = std::min(kTaskProducts / tile_products, share) / 2 * 2;
    int64_t per_task = std::max(kLeastTiles, even);
    if (!w.wants_codes())
      per_task = std::clamp<int64_t>(kFloatTaskBytes / (kTileRows * w.row_bytes), 1, per_task);
    for (int64_t tile = 0; tile < w.tiles(); tile += per_task) {
      const int64_t tiles = std::min(per_task, w.tiles() - tile);
      linear_tasks_.push_back({static_cast<int64_t>(p), tile, tiles});
      longest = std::max(longest, tiles);
    }
  }
  return longest;
}

void CpuBackend::embed(MutView y, std::span<const int32_t> ids, const Matrix& table) {
  const WeightView& w = static_cast<const CpuMatrix&>(table).view;
  HEADGATE_CHECK(y.rows == static_cast<int64_t>(ids.size()) && y.cols == w.cols);
  for_rows(y.rows, w.cols, [&](int64_t t) {
    const int32_t id = ids[static_cast<size_t>(t)];
    HEADGATE_CHECK(id >= 0 && id < w.rows);
    w.decode_row(y.row(t), id);
  });
}

}  // namespace headgate
