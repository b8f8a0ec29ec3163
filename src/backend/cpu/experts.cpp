// Mixture of experts: tokens grouped by expert, so that each expert's weights are read once.
#include <algorithm>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kPassTokens = 2048;  // bounds scratch
constexpr int64_t kChunkRows = 128;
constexpr int64_t kTilesPerGroup = 2;  // 32 outputs are one group of the next activations
// Outputs of a task at a time: they stay in the L2 cache beside what is multiplied.
constexpr int64_t kPieceFloats = kChunkRows * 144;
// Outputs of all rows that no cache would hold until they are read are written past the caches.
constexpr int64_t kStreamBytes = int64_t{16} << 20;
// Rows an expert gets on average from which its weights are worth expanding for a matrix unit.
constexpr int64_t kTileExpertRows = 20;

// A task's outputs are computed so many tiles at a time, whole groups of them. Their rows lie an
// odd number of cache lines apart, so that they do not fight for a few sets.
int64_t piece_tiles(int64_t rows) {
  return (kPieceFloats / rows / kPanelRows - 1) / kTilesPerGroup * kTilesPerGroup;
}
int64_t piece_stride(int64_t tiles) { return (tiles + 1) * kPanelRows; }

// Copies past the caches. Others see it after end_stream().
void stream_floats(float* to, const float* from, int64_t count) {
#if defined(__SSE2__)
  if (reinterpret_cast<uintptr_t>(to) % 16 == 0 && count % 4 == 0) {
    for (int64_t i = 0; i < count; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
    return;
  }
#endif
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

void end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace

// A pass over the experts. Row i of the sorted order is token order[i] / k of the pass.
struct CpuBackend::MoePlan {
  int64_t tokens = 0, k = 0, hidden = 0, width = 0;
  bool tiles = false;         // panels are multiplied on the matrix unit
  bool keeps_hidden = false;  // `down` reads floats, not codes
  int64_t rows() const { return tokens * k; }
};

// Counting sort of the (token, choice) pairs by expert; ties keep the order of tokens.
void CpuBackend::sort_by_expert(const MoePlan& plan, const int32_t* ids, int64_t experts) {
  int32_t* start = moe_start_.take(experts + 1);
  std::fill_n(start, experts + 1, 0);
  for (int64_t i = 0; i < plan.rows(); ++i) {
    HEADGATE_CHECK(ids[i] >= 0 && ids[i] < experts);
    ++start[ids[i] + 1];
  }
  for (int64_t e = 0; e < experts; ++e) start[e + 1] += start[e];
  int32_t* order = moe_order_.take(plan.rows());
  int32_t* place = moe_place_.take(plan.rows());
  for (int64_t i = 0; i < plan.rows(); ++i) {
    const int32_t at = start[ids[i]]++;
    order[at] = static_cast<int32_t>(i);
    place[i] = at;
  }
  // Counting moved every start to the start of the next expert.
  for (int64_t e = experts; e > 0; --e) start[e] = start[e - 1];
  start[0] = 0;
}

// Lists (expert, rows, tiles) tasks over matrices of `tiles` tiles.
void CpuBackend::list_moe_tasks(int64_t experts, int64_t tiles) {
  moe_tasks_.clear();
  const int32_t* start = moe_start_.data();
  int64_t active = 0;
  for (int64_t e = 0; e < experts; ++e) active += start[e + 1] > start[e] ? 1 : 0;
  // Enough tasks for every thread to get several, none so small that it only moves cache lines.
  const int64_t wanted = 8 * static_cast<int64_t>(pool_.threads());
  const int64_t pieces = std::max<int64_t>(1, (wanted + active - 1) / std::max<int64_t>(1, active));
  int64_t per_task = std::max<int64_t>(4, (tiles + pieces - 1) / pieces);
  per_task = (per_task + kTilesPerGroup - 1) / kTilesPerGroup * kTilesPerGroup;
  for (int64_t e = 0; e < experts; ++e) {
    for (int64_t row = start[e]; row < start[e + 1]; row += kChunkRows) {
      const int64_t rows = std::min<int64_t>(kChunkRows, start[e + 1] - row);
      for (int64_t tile = 0; tile < tiles; tile += per_task)
        moe_tasks_.push_back({e, row, rows, tile, std::min(per_task, tiles - tile)});
    }
  }
}

// hidden[row] = silu(gate(x)) * up(x) for every sorted row; only its codes where `down` wants them.
void CpuBackend::run_gate_up(const MoePlan& plan, const LinearInputs& x, const CpuExperts& stack) {
  const int64_t blocks = (plan.width + kBlockInputs - 1) / kBlockInputs;
  float* hidden = moe_hidden_.take(plan.keeps_hidden ? plan.rows() * plan.width : 0);
  ActivationBlock* codes = moe_hidden_codes_.take(plan.rows() * blocks);
  const int32_t* order = moe_order_.data();
  const float** rows = moe_rows_.take(plan.rows());
  const ActivationBlock** code_rows = moe_codes_.take(plan.rows());
  for (int64_t i = 0; i < plan.rows(); ++i) {
    rows[i] = x.rows[order[i] / plan.k];
    code_rows[i] = x.codes != nullptr ? x.codes[order[i] / plan.k] : nullptr;
    if (plan.width % kBlockInputs != 0) codes[(i + 1) * blocks - 1] = ActivationBlock{};
  }
  list_moe_tasks(stack.experts(), stack.list[0].gate.tiles());
  if (plan.tiles) reserve_tiles(kChunkRows, plan.hidden);
  for (Scratch<float>& scratch : moe_piece_) scratch.take(2 * kPieceFloats);
  pool_.run(static_cast<int64_t>(moe_tasks_.size()), [&](int64_t i, int worker) {
    const MoeTask& task = moe_tasks_[static_cast<size_t>(i)];
    const CpuExpert& expert = stack.list[static_cast<size_t>(task.expert)];
    float* piece = moe_piece_[static_cast<size_t>(worker)].data();
    LinearInputs in{rows + task.row, code_rows + task.row};
    if (plan.tiles) in.tiles = pack_tiles(in.rows, task.rows, plan.hidden, worker);
    float* gate_rows[kChunkRows];
    float* up_rows[kChunkRows];
    const int64_t most = std::min(piece_tiles(task.rows), task.tiles);
    const int64_t stride = piece_stride(most);
    for (int64_t at = 0; at < task.tiles; at += most) {
      const int64_t tile = task.tile + at, tiles = std::min(most, task.tiles - at);
      const int64_t first = tile * kPanelRows;
      const int64_t count = std::min(tiles * kPanelRows, plan.width - first);
      for (int64_t r = 0; r < task.rows; ++r) {
        up_rows[r] = piece + r * stride;
        gate_rows[r] = plan.keeps_hidden ? hidden + (task.row + r) * plan.width + first
                                         : piece + kPieceFloats + r * stride;
      }
      multiply(gate_rows, in, task.rows, expert.gate, tile, tiles, worker);
      multiply(up_rows, in, task.rows, expert.up, tile, tiles, worker);
      for (int64_t r = 0; r < task.rows; ++r) {
        kernels_.swiglu(gate_rows[r], gate_rows[r], up_rows[r], count);
        if (expert.down.wants_codes() && !plan.tiles)
          kernels_.quantize(codes + (task.row + r) * blocks, gate_rows[r], count,
                            first / kGroupInputs);
      }
    }
  });
}

// out[row] = down(hidden[row]) for every sorted row.
void CpuBackend::run_down(const MoePlan& plan, const CpuExperts& stack) {
  const int64_t blocks = (plan.width + kBlockInputs - 1) / kBlockInputs;
  const float* hidden = moe_hidden_.data();
  const ActivationBlock* codes = moe_hidden_codes_.data();
  const int64_t floats = plan.rows() * plan.hidden;
  const bool stream = floats * static_cast<int64_t>(sizeof(float)) >= kStreamBytes;
  float* out = moe_out_.take(floats);
  list_moe_tasks(stack.experts(), stack.list[0].down.tiles());
  if (plan.tiles) reserve_tiles(kChunkRows, plan.width);
  pool_.run(static_cast<int64_t>(moe_tasks_.size()), [&](int64_t i, int worker) {
    const MoeTask& task = moe_tasks_[static_cast<size_t>(i)];
    const CpuExpert& expert = stack.list[static_cast<size_t>(task.expert)];
    float* piece = moe_piece_[static_cast<size_t>(worker)].data();
    const float* rows[kChunkRows];
    const ActivationBlock* code_rows[kChunkRows];
    float* out_rows[kChunkRows];
    for (int64_t r = 0; r < task.rows; ++r) {
      rows[r] = plan.keeps_hidden ? hidden + (task.row + r) * plan.width : nullptr;
      code_rows[r] = codes + (task.row + r) * blocks;
    }
    LinearInputs in{rows, code_rows};
    if (plan.tiles) in.tiles = pack_tiles(rows, task.rows, plan.width, worker);
    const int64_t most = std::min(piece_tiles(task.rows), task.tiles);
    const int64_t stride = piece_stride(most);
    for (int64_t at = 0; at < task.tiles; at += most) {
      const int64_t tile = task.tile + at, tiles = std::min(most, task.tiles - at);
      float* to = out + task.row * plan.hidden + tile * kPanelRows;
      for (int64_t r = 0; r < task.rows; ++r)
        out_rows[r] = stream ? piece + r * stride : to + r * plan.hidden;
      multiply(out_rows, in, task.rows, expert.down, tile, tiles, worker);
      if (!stream) continue;
      const int64_t count = std::min(tiles * kPanelRows, plan.hidden - tile * kPanelRows);
      for (int64_t r = 0; r < task.rows; ++r)
        stream_floats(to + r * plan.hidden, out_rows[r], count);
    }
    if (stream) end_stream();
  });
}

void CpuBackend::experts_pass(MutView y, View x, const int32_t* ids, const float* weights,
                              int64_t k, const CpuExperts& stack) {
  const CpuExpert& first = stack.list[0];
  // The step alone decides, not how many of its tokens chose the same expert.
  const bool tiles = has_matrix_unit_ && x.rows >= kTileStepRows &&
                     x.rows * k >= kTileExpertRows * stack.experts();
  MoePlan plan{x.rows, k, first.gate.cols, first.gate.rows, tiles, tiles};
  bool codes = false;
  for (int64_t i = 0; i < plan.rows(); ++i) {
    HEADGATE_CHECK(ids[i] >= 0 && ids[i] < stack.experts());
    const CpuExpert& e = stack.list[static_cast<size_t>(ids[i])];
    codes = codes || e.gate.wants_codes() || e.up.wants_codes();
    plan.keeps_hidden = plan.keeps_hidden || !e.down.wants_codes();
    reserve_decode(e.gate);
    reserve_decode(e.up);
    reserve_decode(e.down);
  }
  const LinearInputs inputs = prepare_inputs(x, codes && !tiles);
  sort_by_expert(plan, ids, stack.experts());
  run_gate_up(plan, inputs, stack);
  run_down(plan, stack);
  const int32_t* place = moe_place_.data();
  const float* out = moe_out_.data();
  for_rows(x.rows, k * plan.hidden / 8, [&](int64_t t) {
    std::fill_n(y.row(t), plan.hidden, 0.0f);
    for (int64_t j = 0; j < k; ++j) {
      const float* row = out + place[t * k + j] * plan.hidden;
      kernels_.add_scaled(y.row(t), row, weights[t * k + j], plan.hidden);
    }
  });
}

void CpuBackend::experts(MutView y, View x, std::span<const int32_t> ids,
                         std::span<const float> weights, int64_t k, const ExpertStack& stack) {
  const auto& cpu_stack = static_cast<const CpuExperts&>(stack);
  HEADGATE_CHECK(!cpu_stack.list.empty() && k >= 1);
  const CpuExpert& first = cpu_stack.list[0];
  HEADGATE_CHECK(x.cols == first.gate.cols && y.cols == x.cols && y.rows == x.rows);
  HEADGATE_CHECK(static_cast<int64_t>(ids.size()) == x.rows * k && weights.size() == ids.size());
  for (int64_t t = 0; t < x.rows; t += kPassTokens) {
    const int64_t tokens = std::min(kPassTokens, x.rows - t);
    experts_pass(y.row_range(t, tokens), x.row_range(t, tokens), ids.data() + t * k,
                 weights.data() + t * k, k, cpu_stack);
  }
}

}  // namespace headgate
