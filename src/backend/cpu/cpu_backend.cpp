// Making the CPU backend and its weights.
#include "backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/cpu/placement.h"
#include "base/error.h"
#include "base/random.h"
#include "kernels/dispatch.h"
#include "kernels/self_test.h"

namespace headgate {
namespace {

constexpr int64_t kPage = 4096;

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// A matrix of a stack: its planned view, its source, and where in the stack's memory it goes.
struct StackPart {
  WeightView* view;
  const MatrixSource* source;
  int64_t offset;
};

// Adds a matrix to the list and moves `offset` past it.
void add_part(std::vector<StackPart>& list, WeightView& view, const MatrixSource& source,
              int64_t& offset) {
  list.push_back({&view, &source, offset});
  offset = round_up(offset + placed_bytes(view, source), 64);
}

void check_expert(const CpuExpert& e, const CpuExpert& first, size_t index) {
  if (e.gate.rows != e.up.rows || e.gate.rows != e.down.cols || e.gate.cols != e.up.cols ||
      e.gate.cols != e.down.rows || e.gate.rows != first.gate.rows ||
      e.gate.cols != first.gate.cols) {
    fail(ErrorCode::kInvalidArgument,
         "expert {}: gate [{}, {}], up [{}, {}], down [{}, {}] do not fit together", index,
         e.gate.rows, e.gate.cols, e.up.rows, e.up.cols, e.down.rows, e.down.cols);
  }
}

// Whether every product of tiles has another kernel than at `level`.
bool multiplies_tiles(const KernelTable& kernels, Isa level) {
  const TileProducts below = kernels_for(level).tiles;
  bool all = kernels.tiles.pack != below.pack;
  for (int f = 0; f < kPanelFormats; ++f)
    all = all && kernels.tiles.multiply[f] != below.multiply[f];
  return all;
}

}  // namespace

CpuBackend::CpuBackend(const BackendOptions& options, Isa isa)
    : CpuBackend(options, isa, checked_kernels(isa).table) {}

CpuBackend::CpuBackend(const BackendOptions& options, Isa isa, const KernelTable& kernels)
    : isa_(isa),
      kernels_(kernels),
      weight_options_{options.pack, options.exact_activations},
      pool_(ThreadPoolOptions{options.threads, options.pin, nullptr}),
      has_chunks_(!options.exact_activations &&
                  kernels.delta_chunk.run != kernels_for(Isa::kScalar).delta_chunk.run),
      has_tiles_(!options.exact_activations && multiplies_tiles(kernels, Isa::kScalar)),
      has_matrix_unit_(has_tiles_ && isa >= Isa::kAmx &&
                       multiplies_tiles(kernels, Isa::kAvx512Bf16)) {
  // bf16 dot products round queries and weights; fp32 products do not.
  if (options.exact_activations)
    kernels_.attention[kKvBF16] =
        checked_kernels(std::min(isa, Isa::kAvx512)).table.attention[kKvBF16];
  const auto threads = static_cast<size_t>(pool_.threads());
  decoded_.resize(threads);
  residual_sums_.resize(threads);
  moe_piece_.resize(threads);
  tile_scratch_.resize(threads);
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

std::unique_ptr<Matrix> CpuBackend::rows_of(const Matrix& w, int64_t first, int64_t count) {
  HEADGATE_CHECK(first % kPanelRows == 0 && count > 0 && first >= 0 && first + count <= w.rows());
  WeightView view = static_cast<const CpuMatrix&>(w).view;
  if (view.layout == WeightLayout::kPanels) {
    view.data += first / kPanelRows * view.panel_bytes();
  } else {
    std::vector<int64_t> order(static_cast<size_t>(count));
    for (int64_t row = 0; row < count; ++row)
      order[static_cast<size_t>(row)] = view.stored_row(first + row);
    view.row_order = std::move(order);
  }
  view.rows = count;
  return std::make_unique<CpuMatrix>(std::move(view), HugeBuffer());
}

std::unique_ptr<Matrix> CpuBackend::make_matrix(const MatrixSource& given) {
  WeightView view = plan_weights(given, weight_options_);
  MatrixSource source = given;
  std::vector<std::byte> narrow;
  if (!view.in_place && !given.lookup_only) narrow = narrowed(given);
  if (!narrow.empty()) {
    source.dtype = DType::kBF16;
    source.bytes = narrow;
    source.file = nullptr;
    source.bytes_stay = false;
    view = plan_weights(source, weight_options_);
  }
  const int64_t bytes = placed_bytes(view, source);
  view.data = source.bytes.data();
  if (bytes == 0) return std::make_unique<CpuMatrix>(std::move(view), HugeBuffer());
  const uint64_t signature = layout_signature(view, source);
  if (image_ != nullptr) {
    const std::span<const std::byte> kept = image_->take(signature, bytes);
    if (!kept.empty()) {
      view.data = kept.data();
      auto matrix = std::make_unique<CpuMatrix>(std::move(view), HugeBuffer());
      matrix->shared = image_->memory();
      return matrix;
    }
  }
  HugeBuffer memory(bytes);
  view.data = memory.data();
  const Placement placement{&view, &source, memory.data()};
  place_weights({&placement, 1}, pool_);
  if (image_ != nullptr) image_->put(signature, {memory.data(), static_cast<size_t>(bytes)});
  return std::make_unique<CpuMatrix>(std::move(view), std::move(memory));
}

std::unique_ptr<ExpertStack> CpuBackend::make_experts(std::span<const ExpertSource> experts) {
  auto stack = std::make_unique<CpuExperts>();
  stack->list.resize(experts.size());
  std::vector<StackPart> parts;
  int64_t bytes = 0;
  uint64_t signature = 0;
  for (size_t e = 0; e < experts.size(); ++e) {
    const ExpertSource& from = experts[e];
    CpuExpert& to = stack->list[e];
    to.gate = plan_weights(from.gate, weight_options_);
    to.up = plan_weights(from.up, weight_options_);
    to.down = plan_weights(from.down, weight_options_);
    check_expert(to, stack->list[0], e);
    // One expert is one extent on pages of its own, so that it can be read or dropped alone.
    bytes = round_up(bytes, kPage);
    add_part(parts, to.gate, from.gate, bytes);
    add_part(parts, to.up, from.up, bytes);
    add_part(parts, to.down, from.down, bytes);
  }
  for (const StackPart& part : parts)
    signature = mix_bits(signature ^ layout_signature(*part.view, *part.source));
  const std::byte* memory = nullptr;
  if (image_ != nullptr && bytes > 0) memory = image_->take(signature, bytes).data();
  if (memory != nullptr) stack->shared = image_->memory();
  std::vector<Placement> placements;
  if (memory == nullptr) stack->memory = HugeBuffer(bytes);
  for (const StackPart& part : parts) {
    part.view->data = part.source->bytes.data();
    if (placed_bytes(*part.view, *part.source) == 0) continue;
    if (memory != nullptr) {
      part.view->data = memory + part.offset;
      continue;
    }
    std::byte* to = stack->memory.data() + part.offset;
    part.view->data = to;
    placements.push_back({part.view, part.source, to});
  }
  if (!placements.empty()) place_weights(placements, pool_);
  if (image_ != nullptr && memory == nullptr && bytes > 0)
    image_->put(signature, {stack->memory.data(), static_cast<size_t>(bytes)});
  stack->set_sizes();
  return stack;
}

}  // namespace headgate
