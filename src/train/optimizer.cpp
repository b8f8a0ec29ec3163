// AdamW element by element, Muon matrix by matrix.
#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace headgate {
namespace {

constexpr int64_t kBlock = 1 << 16;

// Part of a slice that one task updates.
struct Piece {
  const ParameterSlice* slice;
  int64_t offset, count;
};

bool decays(const OptimizerConfig& config, ParameterKind kind) {
  if (config.decay_everything) return true;
  if (kind == ParameterKind::kCentredNorm) return config.decay_norms;
  return kind != ParameterKind::kOther;
}

bool frozen(const OptimizerStep& step, const ParameterSlice& slice) {
  const bool router = slice.part == Part::kRouter || slice.part == Part::kSharedScale;
  return (step.freeze_router && router) || (step.freeze_mtp && slice.name.starts_with("mtp."));
}

bool is_muon(const OptimizerConfig& config, const ParameterSlice& slice) {
  return config.kind == OptimizerKind::kMuon && slice.kind == ParameterKind::kHiddenMatrix;
}

// Five Newton-Schulz steps towards the orthogonal factor of x [rows, cols], rows <= cols; gram and
// poly are [rows, rows], next as x.
void orthogonalise(Ops<float>& ops, Out<float> x, Out<float> gram, Out<float> poly, Out<float> next,
                   int worker) {
  constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;
  double square = 0;
  for (int64_t i = 0; i < x.rows * x.cols; ++i) {
    square += static_cast<double>(x.data[i]) * static_cast<double>(x.data[i]);
  }
  const auto scale = static_cast<float>(1.0 / (std::sqrt(square) + 1e-7));
  for (int64_t i = 0; i < x.rows * x.cols; ++i) x.data[i] *= scale;
  for (int step = 0; step < 5; ++step) {
    ops.product_here({Form::kNT, x, x, gram, false}, worker);
    ops.product_here({Form::kNN, gram, gram, poly, false}, worker);
    for (int64_t i = 0; i < x.rows * x.rows; ++i) {
      poly.data[i] = kB * gram.data[i] + kC * poly.data[i];
    }
    ops.product_here({Form::kNN, poly, x, next, false}, worker);
    for (int64_t i = 0; i < x.rows * x.cols; ++i) x.data[i] = kA * x.data[i] + next.data[i];
  }
}

void muon(Ops<float>& ops, const OptimizerConfig& config, const ParameterSlice& slice,
          const OptimizerState& state, const OptimizerStep& step, int worker) {
  const int64_t rows = slice.shape[0], cols = slice.shape[1], small = std::min(rows, cols);
  const auto momentum = static_cast<float>(config.muon_momentum);
  const auto scale = static_cast<float>(step.gradient_scale);
  const float* g = state.gradient + slice.offset;
  float *m = state.first + slice.offset, *w = state.weights + slice.offset;
  Buffer<float> x_buffer, gram_buffer, poly_buffer, next_buffer;
  const Out<float> x = x_buffer.shape(small, rows * cols / small);
  const bool turned = rows > cols;
  const auto at = [&](int64_t i) -> float& {
    return turned ? x.row(i % cols)[i / cols] : x.data[i];
  };
  for (int64_t i = 0; i < slice.count; ++i) {
    m[i] = momentum * m[i] + g[i] * scale;
    at(i) = momentum * m[i] + g[i] * scale;  // Nesterov
  }
  orthogonalise(ops, x, gram_buffer.shape(small, small), poly_buffer.shape(small, small),
                next_buffer.shape(x.rows, x.cols), worker);
  const auto rate =
      static_cast<float>(step.rate * 0.2 * std::sqrt(static_cast<double>(std::max(rows, cols))));
  const auto keep = static_cast<float>(1.0 - step.rate * config.weight_decay);
  for (int64_t i = 0; i < slice.count; ++i) w[i] = w[i] * keep - rate * at(i);
}

}  // namespace

AdamwFactors adamw_factors(const OptimizerConfig& config, const OptimizerStep& step, bool decay) {
  const auto number = static_cast<double>(step.number);
  AdamwFactors f{};
  f.beta1 = static_cast<float>(config.beta1);
  f.beta2 = static_cast<float>(config.beta2);
  f.keep = static_cast<float>(1.0 - (decay ? step.rate * config.weight_decay : 0.0));
  f.rate = static_cast<float>(step.rate / (1.0 - std::pow(config.beta1, number)));
  f.inverse_root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(config.beta2, number)));
  f.epsilon = static_cast<float>(config.epsilon);
  f.scale = static_cast<float>(step.gradient_scale);
  return f;
}

double gradient_norm(ThreadPool& pool, std::span<const float> gradient) {
  const auto n = static_cast<int64_t>(gradient.size());
  std::vector<double> sums(static_cast<size_t>((n + kBlock - 1) / kBlock), 0.0);
  pool.run(static_cast<int64_t>(sums.size()), [&](int64_t block, int) {
    const int64_t first = block * kBlock;
    sums[static_cast<size_t>(block)] =
        row_square_sum(gradient.data() + first, std::min(kBlock, n - first));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

void optimizer_step(Ops<float>& ops, const OptimizerConfig& config, const ParameterMap& map,
                    const OptimizerState& state, const OptimizerStep& step) {
  std::vector<Piece> pieces;
  std::vector<const ParameterSlice*> matrices;
  for (const ParameterSlice& slice : map.slices) {
    if (frozen(step, slice)) continue;
    if (is_muon(config, slice)) {
      matrices.push_back(&slice);
      continue;
    }
    const int64_t end = std::min(slice.offset + slice.count, state.end);
    for (int64_t at = std::max(slice.offset, state.begin); at < end; at += kBlock) {
      pieces.push_back({&slice, at - state.begin, std::min(kBlock, end - at)});
    }
  }
  const AdamwFactors with = adamw_factors(config, step, true);
  const AdamwFactors without = adamw_factors(config, step, false);
  ops.pool().run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
    const Piece& p = pieces[static_cast<size_t>(task)];
    row_adamw(decays(config, p.slice->kind) ? with : without, p.count, state.weights + p.offset,
              state.gradient + p.offset, state.first + p.offset, state.second + p.offset);
  });
  ops.pool().run(static_cast<int64_t>(matrices.size()), [&](int64_t task, int worker) {
    muon(ops, config, *matrices[static_cast<size_t>(task)], state, step, worker);
  });
}

}  // namespace headgate
