// Mixture of experts: tokens grouped by expert, so that each expert's weights are read once.
#include <algorithm>
#include <cstring>

#include "backend/cpu/for_rows.h"
#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kPassTokens = 2048;  // bounds scratch
constexpr int64_t kChunkRows = 128;
constexpr int64_t kTilesPerGroup = 2;  // 32 outputs are one group of the next activations
// Rows an expert gets on average from which its weights are worth expanding for a matrix unit.
constexpr int64_t kTileExpertRows = 20;

}  // namespace

// A pass over the experts. Row i of the sorted order is token order[i] / k of the pass.
struct CpuBackend::MoePlan {
  int64_t tokens = 0, k = 0, hidden = 0, width = 0;
  bool tiles = false;  // panels are multiplied on the matrix unit
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

// hidden[row] = silu(gate(x)) * up(x) for every sorted row; quantised where `down` wants codes.
void CpuBackend::run_gate_up(const MoePlan& plan, const LinearInputs& x, const CpuExperts& stack) {
  const int64_t blocks = (plan.width + kBlockInputs - 1) / kBlockInputs;
  float* hidden = moe_hidden_.take(plan.rows() * plan.width);
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
  for (Scratch<float>& scratch : moe_up_) scratch.take(kChunkRows * (plan.width + kPanelRows));
  pool_.run(static_cast<int64_t>(moe_tasks_.size()), [&](int64_t i, int worker) {
    const MoeTask& task = moe_tasks_[static_cast<size_t>(i)];
    const CpuExpert& expert = stack.list[static_cast<size_t>(task.expert)];
    const int64_t first = task.tile * kPanelRows;
    const int64_t count = std::min(task.tiles * kPanelRows, plan.width - first);
    float* up = moe_up_[static_cast<size_t>(worker)].data();
    float* gate_rows[kChunkRows];
    float* up_rows[kChunkRows];
    for (int64_t r = 0; r < task.rows; ++r) {
      gate_rows[r] = hidden + (task.row + r) * plan.width + first;
      up_rows[r] = up + r * count;
    }
    LinearInputs in{rows + task.row, code_rows + task.row};
    if (plan.tiles) in.tiles = pack_tiles(in.rows, task.rows, plan.hidden, worker);
    multiply(gate_rows, in, task.rows, expert.gate, task.tile, task.tiles, worker);
    multiply(up_rows, in, task.rows, expert.up, task.tile, task.tiles, worker);
    for (int64_t r = 0; r < task.rows; ++r) {
      kernels_.swiglu(gate_rows[r], gate_rows[r], up_rows[r], count);
      if (expert.down.wants_codes() && !plan.tiles)
        kernels_.quantize(codes + (task.row + r) * blocks, gate_rows[r], count,
                          first / kGroupInputs);
    }
  });
}

// out[row] = down(hidden[row]) for every sorted row.
void CpuBackend::run_down(const MoePlan& plan, const CpuExperts& stack) {
  const int64_t blocks = (plan.width + kBlockInputs - 1) / kBlockInputs;
  const float* hidden = moe_hidden_.data();
  const ActivationBlock* codes = moe_hidden_codes_.data();
  float* out = moe_out_.take(plan.rows() * plan.hidden);
  list_moe_tasks(stack.experts(), stack.list[0].down.tiles());
  if (plan.tiles) reserve_tiles(kChunkRows, plan.width);
  pool_.run(static_cast<int64_t>(moe_tasks_.size()), [&](int64_t i, int worker) {
    const MoeTask& task = moe_tasks_[static_cast<size_t>(i)];
    const float* rows[kChunkRows];
    const ActivationBlock* code_rows[kChunkRows];
    float* out_rows[kChunkRows];
    for (int64_t r = 0; r < task.rows; ++r) {
      rows[r] = hidden + (task.row + r) * plan.width;
      code_rows[r] = codes + (task.row + r) * blocks;
      out_rows[r] = out + (task.row + r) * plan.hidden + task.tile * kPanelRows;
    }
    LinearInputs in{rows, code_rows};
    if (plan.tiles) in.tiles = pack_tiles(rows, task.rows, plan.width, worker);
    multiply(out_rows, in, task.rows, stack.list[static_cast<size_t>(task.expert)].down, task.tile,
             task.tiles, worker);
  });
}

void CpuBackend::experts_pass(MutView y, View x, const int32_t* ids, const float* weights,
                              int64_t k, const CpuExperts& stack) {
  const CpuExpert& first = stack.list[0];
  // The step alone decides, not how many of its tokens chose the same expert.
  const bool tiles =
      has_tiles_ && x.rows >= kTileStepRows && x.rows * k >= kTileExpertRows * stack.experts();
  const MoePlan plan{x.rows, k, first.gate.cols, first.gate.rows, tiles};
  bool codes = false;
  for (int64_t i = 0; i < plan.rows(); ++i) {
    HEADGATE_CHECK(ids[i] >= 0 && ids[i] < stack.experts());
    const CpuExpert& e = stack.list[static_cast<size_t>(ids[i])];
    codes = codes || e.gate.wants_codes() || e.up.wants_codes();
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
