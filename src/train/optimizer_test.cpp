// Muon's update of matrices of every proportion, beside its definition in double.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace headgate {
namespace {

using Doubles = std::vector<double>;

// c [m, n] = a [m, k] b [k, n].
Doubles multiply(const Doubles& a, const Doubles& b, size_t m, size_t k, size_t n) {
  Doubles c(m * n, 0.0);
  for (size_t i = 0; i < m; ++i) {
    for (size_t l = 0; l < k; ++l) {
      for (size_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + l] * b[l * n + j];
    }
  }
  return c;
}

Doubles transposed(const Doubles& a, size_t m, size_t n) {
  Doubles t(a.size());
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) t[j * m + i] = a[i * n + j];
  }
  return t;
}

// x <- 3.4445 x - 4.775 (x x^T) x + 2.0315 (x x^T)^2 x, five times, from x / |x|.
Doubles newton_schulz(Doubles x, size_t m, size_t n) {
  double square = 0;
  for (const double v : x) square += v * v;
  for (double& v : x) v /= std::sqrt(square) + 1e-7;
  for (int step = 0; step < 5; ++step) {
    const Doubles gram = multiply(x, transposed(x, m, n), m, n, m);
    const Doubles once = multiply(gram, x, m, m, n), twice = multiply(gram, once, m, m, n);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = 3.4445 * x[i] - 4.775 * once[i] + 2.0315 * twice[i];
    }
  }
  return x;
}

// One matrix of the map, as a network has many.
ParameterMap one_matrix(int64_t rows, int64_t cols) {
  ParameterMap map;
  ParameterSlice slice;
  slice.shape = {rows, cols};
  slice.count = rows * cols;
  slice.kind = ParameterKind::kHiddenMatrix;
  map.slices.push_back(slice);
  return map;
}

std::vector<float> random_values(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

// Two steps, so that the momentum counts; `rank` singular values of the gradient are not tiny.
void expect_muon(int64_t rows, int64_t cols, int64_t rank) {
  SCOPED_TRACE(testing::Message() << rows << " x " << cols << ", rank " << rank);
  const auto m = static_cast<size_t>(rows), n = static_cast<size_t>(cols);
  OptimizerConfig config;
  config.kind = OptimizerKind::kMuon;
  const ParameterMap map = one_matrix(rows, cols);
  std::vector<float> weights = random_values(m * n, 1), first(m * n, 0.0f), second(m * n, 0.0f);
  Doubles expected(weights.begin(), weights.end()), momentum(m * n, 0.0);
  ThreadPool pool(2);
  Ops<float> ops(pool, true);
  for (int64_t number = 1; number <= 2; ++number) {
    const auto seed = static_cast<uint32_t>(10 * number);
    std::vector<float> gradient = random_values(m * n, seed);
    const std::vector<float> left = random_values(m * static_cast<size_t>(rank), seed + 1);
    const std::vector<float> right = random_values(static_cast<size_t>(rank) * n, seed + 2);
    for (size_t i = 0; i < m * n; ++i) gradient[i] *= rank < std::min(rows, cols) ? 1e-3f : 1.0f;
    for (size_t i = 0; i < m; ++i) {
      for (size_t r = 0; r < static_cast<size_t>(rank); ++r) {
        for (size_t j = 0; j < n; ++j) {
          gradient[i * n + j] += left[i * static_cast<size_t>(rank) + r] * right[r * n + j];
        }
      }
    }
    const OptimizerStep step{number, 0.01, 0.5, false, false};
    optimizer_step(ops, config, map,
                   {0, rows * cols, weights.data(), gradient.data(), first.data(), second.data()},
                   step);
    Doubles direction(m * n);
    for (size_t i = 0; i < m * n; ++i) {
      const double g = 0.5 * static_cast<double>(gradient[i]);
      momentum[i] = config.muon_momentum * momentum[i] + g;
      direction[i] = config.muon_momentum * momentum[i] + g;
    }
    direction = rows <= cols ? newton_schulz(direction, m, n)
                             : transposed(newton_schulz(transposed(direction, m, n), n, m), n, m);
    const double rate = 0.01 * 0.2 * std::sqrt(static_cast<double>(std::max(rows, cols)));
    for (size_t i = 0; i < m * n; ++i) {
      expected[i] = expected[i] * (1 - 0.01 * config.weight_decay) - rate * direction[i];
    }
  }
  // An entry moves by 0.2 of the rate, 2e-3; a hundredth of that is far more than rounding.
  for (size_t i = 0; i < m * n; ++i) {
    ASSERT_NEAR(static_cast<double>(weights[i]), expected[i], 2e-5);
  }
}

TEST(Muon, MatchesItsDefinitionForFlatTallAndSquareMatrices) {
  expect_muon(16, 64, 16);
  expect_muon(64, 16, 16);
  expect_muon(48, 48, 48);
  expect_muon(40, 60, 40);
  expect_muon(1, 24, 1);
}

TEST(Muon, FlatMatricesOfLowRankDoNotBlowUp) {
  expect_muon(64, 256, 5);
  expect_muon(256, 64, 5);
}

}  // namespace
}  // namespace headgate
