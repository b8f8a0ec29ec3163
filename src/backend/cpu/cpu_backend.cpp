// Making the CPU backend and its weights.
#include "backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/self_test.h"

namespace headgate {
namespace {

constexpr int64_t kPage = 4096;

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Where one matrix of a stack goes.
struct Placement {
  WeightView* view;
  const MatrixSource* source;
  int64_t offset;  // in the stack's memory; -1: reads the source
};

// Adds a matrix to the list and moves `offset` past it.
void place(std::vector<Placement>& list, WeightView& view, const MatrixSource& source,
           int64_t& offset) {
  const int64_t bytes = placed_bytes(view, source);
  list.push_back({&view, &source, bytes > 0 ? offset : -1});
  offset = round_up(offset + bytes, 64);
}

}  // namespace

CpuBackend::CpuBackend(const BackendOptions& options, Isa isa)
    : isa_(isa),
      kernels_(checked_kernels(isa).table),
      weight_options_{options.pack, options.exact_activations},
      pool_(ThreadPoolOptions{options.threads, options.pin, nullptr}) {
  // bf16 dot products round queries and weights; fp32 products do not.
  if (options.exact_activations)
    kernels_.attention[kKvBF16] =
        checked_kernels(std::min(isa, Isa::kAvx512)).table.attention[kKvBF16];
  const auto threads = static_cast<size_t>(pool_.threads());
  decoded_.resize(threads);
  moe_up_.resize(threads);
  attention_scratch_.resize(threads);
  row_scratch_.resize(threads);
  delta_scratch_.resize(threads);
}

std::string CpuBackend::description() const {
  const size_t replaced = checked_kernels(isa_).fallbacks.size();
  return fmt::format(
      "cpu, {}, {} threads{}{}{}", isa_name(isa_), pool_.threads(),
      pool_.pinned() ? ", pinned" : "", weight_options_.exact ? ", exact activations" : "",
      replaced > 0 ? fmt::format(", {} kernels replaced by slower ones", replaced) : std::string());
}

std::unique_ptr<Matrix> CpuBackend::make_matrix(const MatrixSource& source) {
  WeightView view = plan_weights(source, weight_options_);
  HugeBuffer memory(placed_bytes(view, source));
  view.data = source.bytes.data();
  if (memory.bytes() > 0) {
    view.data = memory.data();
    pool_.run(view.tiles(),
              [&](int64_t tile, int) { place_tile(view, source, memory.data(), tile); });
  }
  return std::make_unique<CpuMatrix>(std::move(view), std::move(memory));
}

std::unique_ptr<ExpertStack> CpuBackend::make_experts(std::span<const ExpertSource> experts) {
  auto stack = std::make_unique<CpuExperts>();
  stack->list.resize(experts.size());
  std::vector<Placement> list;
  int64_t bytes = 0;
  for (size_t e = 0; e < experts.size(); ++e) {
    const ExpertSource& from = experts[e];
    CpuExpert& to = stack->list[e];
    to.gate = plan_weights(from.gate, weight_options_);
    to.up = plan_weights(from.up, weight_options_);
    to.down = plan_weights(from.down, weight_options_);
    const CpuExpert& first = stack->list[0];
    if (to.gate.rows != to.up.rows || to.gate.rows != to.down.cols || to.gate.cols != to.up.cols ||
        to.gate.cols != to.down.rows || to.gate.rows != first.gate.rows ||
        to.gate.cols != first.gate.cols) {
      fail(ErrorCode::kInvalidArgument,
           "expert {}: gate [{}, {}], up [{}, {}], down [{}, {}] do not fit together", e,
           to.gate.rows, to.gate.cols, to.up.rows, to.up.cols, to.down.rows, to.down.cols);
    }
    // One expert is one extent on pages of its own, so that it can be read or dropped alone.
    bytes = round_up(bytes, kPage);
    place(list, to.gate, from.gate, bytes);
    place(list, to.up, from.up, bytes);
    place(list, to.down, from.down, bytes);
  }
  stack->memory = HugeBuffer(bytes);
  pool_.run(static_cast<int64_t>(list.size()), [&](int64_t task, int) {
    const Placement& p = list[static_cast<size_t>(task)];
    p.view->data = p.source->bytes.data();
    if (p.offset < 0) return;
    std::byte* to = stack->memory.data() + p.offset;
    for (int64_t tile = 0; tile < p.view->tiles(); ++tile) place_tile(*p.view, *p.source, to, tile);
    p.view->data = to;
  });
  stack->set_sizes();
  return stack;
}

}  // namespace headgate
