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

constexpr int kSteps = 5;  // of Newton and Schulz
constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;

// Memory of one worker, kept from matrix to matrix.
struct MuonScratch {
  Buffer<float> x, gram, poly, next, spare, factors;
};

// poly = kB gram + kC gram gram; without the term of x itself, kA.
void polynomial(Ops<float>& ops, Out<float> gram, Out<float> poly, int worker) {
  ops.product_here({Form::kNN, gram, gram, poly, false}, worker);
  row_scale(poly.data, poly.data, kC, poly.rows * poly.cols);
  row_axpy(poly.data, gram.data, kB, poly.rows * poly.cols);
}

// Newton-Schulz steps towards the orthogonal factor of x [rows, cols], rows <= cols, in place.
void orthogonalise_square(Ops<float>& ops, Out<float> x, MuonScratch& s, int worker) {
  const Out<float> gram = s.gram.shape(x.rows, x.rows), poly = s.poly.shape(x.rows, x.rows);
  const Out<float> next = s.next.shape(x.rows, x.cols);
  for (int step = 0; step < kSteps; ++step) {
    ops.product_here({Form::kNT, x, x, gram, false}, worker);
    polynomial(ops, gram, poly, worker);
    ops.product_here({Form::kNN, poly, x, next, false}, worker);
    row_scale(x.data, x.data, kA, x.rows * x.cols);
    row_axpy(x.data, next.data, 1.0f, x.rows * x.cols);
  }
}

// The same for a flat x, cols >= 2 rows: x itself is multiplied once at the end. The steps'
// factors P are polynomials of the first x x^T = G and commute with it, so that the Gram matrix
// of the next x is P G P and the factors multiply up: [rows, rows] products only.
void orthogonalise_flat(Ops<float>& ops, Out<float> x, MuonScratch& s, int worker) {
  const int64_t n = x.rows;
  const Out<float> poly = s.poly.shape(n, n), next = s.next.shape(n, x.cols);
  const Out<float> gram = s.gram.shape(n, n), spare = s.spare.shape(n, n);
  const Out<float> both = s.factors.shape(2 * n, n);
  Out<float> factor{both.data, n, n}, factor_next{both.row(n), n, n};
  ops.product_here({Form::kNT, x, x, gram, false}, worker);
  for (int step = 0; step < kSteps; ++step) {
    polynomial(ops, gram, poly, worker);
    for (int64_t i = 0; i < n; ++i) poly.row(i)[i] += kA;
    if (step == 0) {
      for (int64_t i = 0; i < n; ++i) std::copy_n(poly.row(i), n, factor.row(i));
    } else {
      ops.product_here({Form::kNN, poly, factor, factor_next, false}, worker);
      std::swap(factor, factor_next);
    }
    if (step + 1 == kSteps) break;
    ops.product_here({Form::kNN, poly, gram, spare, false}, worker);
    ops.product_here({Form::kNN, spare, poly, gram, false}, worker);
  }
  ops.product_here({Form::kNN, factor, x, next, false}, worker);
  std::copy_n(next.data, n * x.cols, x.data);
}

void muon(Ops<float>& ops, const OptimizerConfig& config, const ParameterSlice& slice,
          const OptimizerState& state, const OptimizerStep& step, MuonScratch& scratch,
          int worker) {
  const int64_t rows = slice.shape[0], cols = slice.shape[1], small = std::min(rows, cols);
  const auto momentum = static_cast<float>(config.muon_momentum);
  const auto scale = static_cast<float>(step.gradient_scale);
  const float* g = state.gradient + slice.offset;
  float *m = state.first + slice.offset, *w = state.weights + slice.offset;
  const bool turned = rows > cols;
  const Out<float> x = scratch.x.shape(small, slice.count / small);
  float* direction = turned ? scratch.next.shape(rows, cols).data : x.data;
  row_scale(m, m, momentum, slice.count);
  row_axpy(m, g, scale, slice.count);
  row_scale(direction, m, momentum, slice.count);
  row_axpy(direction, g, scale, slice.count);  // Nesterov
  if (turned) transpose_rows(x.data, x.cols, direction, cols, rows, cols);
  const double norm = std::sqrt(row_square_sum(x.data, slice.count));
  row_scale(x.data, x.data, static_cast<float>(1.0 / (norm + 1e-7)), slice.count);
  if (x.cols >= 2 * x.rows) {
    orthogonalise_flat(ops, x, scratch, worker);
  } else {
    orthogonalise_square(ops, x, scratch, worker);
  }
  if (turned) {
    direction = scratch.next.shape(rows, cols).data;
    transpose_rows(direction, cols, x.data, x.cols, x.rows, x.cols);
  }
  const auto rate =
      static_cast<float>(step.rate * 0.2 * std::sqrt(static_cast<double>(std::max(rows, cols))));
  row_scale(w, w, static_cast<float>(1.0 - step.rate * config.weight_decay), slice.count);
  row_axpy(w, direction, -rate, slice.count);
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
  std::vector<MuonScratch> scratch(static_cast<size_t>(ops.pool().threads()));
  ops.pool().run(static_cast<int64_t>(matrices.size()), [&](int64_t task, int worker) {
    muon(ops, config, *matrices[static_cast<size_t>(task)], state, step,
         scratch[static_cast<size_t>(worker)], worker);
  });
}

}  // namespace headgate
