// Every op against a plain computation in double precision, on every instruction set of the
// machine.
#include "backend/cpu/test_support.h"

namespace headgate {
namespace {

class Ops : public testing::TestWithParam<Isa> {};

double silu(double x) { return x / (1.0 + std::exp(-x)); }

TEST_P(Ops, LinearMultipliesFloatWeightsOfAnyShape) {
  const auto backend = backend_of(GetParam());
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1},
                                     {3, 7},
                                     {16, 32},
                                     {17, 33},
                                     {40, 72},
                                     {5, 300},
                                     {67, 128}}) {
      for (const int64_t tokens : {1, 2, 5, 8, 131}) {
        std::vector<float> w = random_floats(rows * cols, 1);
        const std::vector<std::byte> bytes = stored_floats(w, type);
        const std::vector<float> x = random_floats(tokens * cols, 2);
        MatrixSource source;
        source.dtype = type;
        source.rows = rows;
        source.cols = cols;
        source.bytes = bytes;
        const auto matrix = backend->make_matrix(source);
        std::vector<float> got(static_cast<size_t>(tokens * rows)), want(got.size());
        backend->linear(view_of(got, tokens), view_of(x, tokens), *matrix);
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t r = 0; r < rows; ++r) {
            double sum = 0;
            for (int64_t c = 0; c < cols; ++c)
              sum += static_cast<double>(x[t * cols + c]) * w[r * cols + c];
            want[t * rows + r] = static_cast<float>(sum);
          }
        }
        EXPECT_LT(error_of(got, want), 2e-6f)
            << dtype_name(type) << " [" << rows << ", " << cols << "] x " << tokens;
      }
    }
  }
}

TEST_P(Ops, RowOrderSelectsStoredRows) {
  const auto backend = backend_of(GetParam());
  std::vector<float> w = random_floats(6 * 10, 1);
  const std::vector<std::byte> bytes = stored_floats(w, DType::kF32);
  const std::vector<int64_t> order = {5, 0, 0, 3};
  for (const bool stay : {false, true}) {
    MatrixSource source;
    source.rows = 4;
    source.cols = 10;
    source.bytes = bytes;
    source.row_order = order;
    source.bytes_stay = stay;
    const auto matrix = backend->make_matrix(source);
    std::vector<float> got(4 * 10);
    const std::vector<int32_t> ids = {0, 1, 2, 3};
    backend->embed(view_of(got, 4), ids, *matrix);
    for (size_t r = 0; r < 4; ++r) {
      for (size_t c = 0; c < 10; ++c)
        EXPECT_EQ(got[r * 10 + c], w[static_cast<size_t>(order[r]) * 10 + c]);
    }
  }
}

TEST_P(Ops, NormsAndGates) {
  const auto backend = backend_of(GetParam());
  for (const int64_t n : {1, 7, 12, 16, 20, 24, 31, 128, 300}) {
    const int64_t rows = 5;
    const std::vector<float> x = random_floats(rows * n, 1), z = random_floats(rows * n, 2, 3.0f);
    const std::vector<float> w = random_floats(n, 3), gate = random_floats(rows, 4);
    std::vector<float> rms(x.size()), gated(x.size()), l2(x.size()), glu(x.size()), sig = x,
                                                                                    scaled = z;
    backend->rms_norm(view_of(rms, rows), view_of(x, rows), w, 1e-6f);
    backend->gated_rms_norm(view_of(gated, rows), view_of(x, rows), view_of(z, rows), w, 1e-6f);
    backend->l2_norm(view_of(l2, rows), view_of(x, rows), 0.25f);
    backend->swiglu(view_of(glu, rows), view_of(z, rows), view_of(x, rows));
    backend->sigmoid_gate(view_of(sig, rows), view_of(z, rows));
    backend->add_gated(view_of(scaled, rows), view_of(x, rows), view_of(gate, rows));
    std::vector<float> want[6];
    for (auto& v : want) v.resize(x.size());
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[r * n + i]) * x[r * n + i];
      const double scale = 1 / std::sqrt(sum / static_cast<double>(n) + 1e-6);
      for (int64_t i = 0; i < n; ++i) {
        const double v = x[r * n + i], g = z[r * n + i];
        want[0][r * n + i] = static_cast<float>(v * scale * w[i]);
        want[1][r * n + i] = static_cast<float>(v * scale * w[i] * silu(g));
        want[2][r * n + i] = static_cast<float>(v / std::sqrt(sum + 1e-6) * 0.25);
        want[3][r * n + i] = static_cast<float>(silu(g) * v);
        want[4][r * n + i] = static_cast<float>(v / (1 + std::exp(-g)));
        want[5][r * n + i] = static_cast<float>(g + v / (1 + std::exp(-gate[r])));
      }
    }
    EXPECT_LT(error_of(rms, want[0]), 1e-6f) << n;
    EXPECT_LT(error_of(gated, want[1]), 1e-6f) << n;
    EXPECT_LT(error_of(l2, want[2]), 1e-6f) << n;
    EXPECT_LT(error_of(glu, want[3]), 1e-6f) << n;
    EXPECT_LT(error_of(sig, want[4]), 1e-6f) << n;
    EXPECT_LT(error_of(scaled, want[5]), 1e-6f) << n;
  }
}

TEST_P(Ops, GatesSurviveExtremeValues) {
  const auto backend = backend_of(GetParam());
  std::vector<float> x = {-1e4f, -100, -88, -20, 0, 20, 88, 100, 1e4f, -0.0f, 1e-30f, 3e38f};
  const auto n = static_cast<int64_t>(x.size());
  const std::vector<float> ones(x.size(), 1.0f);
  std::vector<float> glu(x.size()), sig = ones;
  backend->swiglu(view_of(glu, 1), view_of(x, 1), view_of(ones, 1));
  backend->sigmoid_gate(view_of(sig, 1), view_of(x, 1));
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_NEAR(glu[i], silu(x[i]), std::fabs(x[i]) * 1e-6) << x[i];
    EXPECT_NEAR(sig[i], 1 / (1 + std::exp(-static_cast<double>(x[i]))), 1e-6) << x[i];
  }
  std::vector<float> beta(1), g(1);
  for (const float a : {-200.0f, -1.0f, 30.0f, 600.0f}) {
    const std::vector<float> in = {a}, neg = {-2.0f}, bias = {0.5f};
    backend->delta_gates(view_of(beta, 1), view_of(g, 1), view_of(in, 1), view_of(in, 1), neg,
                         bias);
    EXPECT_NEAR(beta[0], 1 / (1 + std::exp(-static_cast<double>(a))), 1e-6);
    EXPECT_NEAR(g[0], -2 * std::log1p(std::exp(std::min(a + 0.5, 700.0))), 1e-3 + 1e-6 * a);
  }
}

TEST_P(Ops, ConvolutionContinuesFromItsState) {
  const auto backend = backend_of(GetParam());
  const int64_t channels = 530, tokens = 9;
  for (const int64_t width : {1, 2, 4, 5}) {
    const std::vector<float> x = random_floats(tokens * channels, 1);
    const std::vector<float> w = random_floats(channels * width, 2);
    const std::vector<float> before = random_floats((width - 1) * channels, 3);
    std::vector<float> want(x.size());
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (int64_t i = 0; i < width; ++i) {
          const int64_t from = t - width + 1 + i;
          sum += w[c * width + i] *
                 static_cast<double>(from < 0 ? before[(from + width - 1) * channels + c]
                                              : x[from * channels + c]);
        }
        want[t * channels + c] = static_cast<float>(silu(sum));
      }
    }
    for (const int64_t cut : {1, 2, 3, 9}) {  // tokens of the first call
      std::vector<float> got(x.size()), state = before;
      state.resize(static_cast<size_t>(width * channels));  // never empty
      for (int64_t at = 0; at < tokens; at += cut) {
        RecurrentSpan span;
        span.rows = {at, std::min(cut, tokens - at), at};
        span.conv = state.data();
        backend->causal_conv1d_silu(view_of(got, tokens), view_of(x, tokens), w, width, {&span, 1});
      }
      EXPECT_LT(error_of(got, want), 1e-6f) << width << " " << cut;
      for (int64_t i = 0; i < (width - 1) * channels; ++i)
        ASSERT_EQ(state[i], x[(tokens - width + 1) * channels + i]);
    }
  }
}

TEST_P(Ops, RopeRotatesHalfSplitPairsByEachSpansTable) {
  const auto backend = backend_of(GetParam());
  const int64_t stride = 30, half = 6, tokens = 20;
  RopeTable plain, stretched;
  for (int64_t j = 0; j < half; ++j)
    plain.inverse_frequencies.push_back(
        std::pow(10000.0f, -static_cast<float>(j) / static_cast<float>(half)));
  for (const float f : plain.inverse_frequencies) stretched.inverse_frequencies.push_back(f / 4);
  stretched.scale = 1.25f;
  const RopeSpan spans[] = {
      {{0, 12, 1000}, &stretched}, {{12, 1, 7}, &plain}, {{13, 7, 0}, &plain}};
  std::vector<float> got[2], want[2];
  std::vector<RopePart> parts;
  for (const int64_t heads : {3, 1}) {
    const size_t p = parts.size();
    got[p] = want[p] = random_floats(tokens * heads * stride, p + 1);
    parts.push_back({view_of(got[p], tokens), heads, stride});
    for (int64_t t = 0; t < tokens; ++t) {
      const RopeTable& table = t < 12 ? stretched : plain;
      const int64_t position = t < 12 ? 1000 + t : t == 12 ? 7 : t - 13;
      for (int64_t h = 0; h < heads; ++h) {
        float* row = want[p].data() + (t * heads + h) * stride;
        for (int64_t j = 0; j < half; ++j) {
          const float angle = static_cast<float>(position) * table.inverse_frequencies[j];
          const float c = std::cos(angle) * table.scale, s = std::sin(angle) * table.scale;
          const float a = row[j], b = row[j + half];
          row[j] = a * c - b * s;
          row[j + half] = b * c + a * s;
        }
      }
    }
  }
  backend->rope(parts, spans);
  for (size_t p = 0; p < parts.size(); ++p) EXPECT_LT(error_of(got[p], want[p]), 1e-6f) << p;
}

TEST_P(Ops, RouteTakesTheLargestAndTheLowerIndexOnTies) {
  const auto backend = backend_of(GetParam());
  const std::vector<float> logits = {1, 3, 3, -2, 2, 0, 0, 0, 0, 0};
  std::vector<int32_t> ids(6);
  std::vector<float> weights(6);
  backend->route(ids, weights, view_of(logits, 2), 3, false);
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 2, 4, 0, 1, 2}));
  double sum = 0;
  for (int i = 0; i < 5; ++i) sum += std::exp(static_cast<double>(logits[i]));
  EXPECT_NEAR(weights[0], std::exp(3.0) / sum, 1e-6);
  EXPECT_NEAR(weights[2], std::exp(2.0) / sum, 1e-6);
  EXPECT_NEAR(weights[3], 0.2, 1e-6);
  backend->route(ids, weights, view_of(logits, 2), 3, true);
  EXPECT_NEAR(weights[0] + weights[1] + weights[2], 1.0, 1e-6);
}

TEST_P(Ops, ExpertsAddUpWeightedOutputs) {
  const auto backend = backend_of(GetParam());
  const int64_t experts = 7, hidden = 40, width = 24, k = 3;
  std::vector<std::vector<float>> gate, up, down;
  std::vector<std::vector<std::byte>> bytes;
  bytes.reserve(21);
  std::vector<ExpertSource> sources(experts);
  const auto fill = [&](MatrixSource& s, std::vector<std::vector<float>>& to, int64_t rows,
                        int64_t cols, uint64_t seed) {
    to.push_back(random_floats(rows * cols, seed, 0.3f));
    bytes.push_back(stored_floats(to.back(), DType::kBF16));
    s.dtype = DType::kBF16;
    s.rows = rows;
    s.cols = cols;
    s.bytes = bytes.back();
  };
  for (int64_t e = 0; e < experts; ++e) {
    fill(sources[e].gate, gate, width, hidden, 10 + e);
    fill(sources[e].up, up, width, hidden, 30 + e);
    fill(sources[e].down, down, hidden, width, 50 + e);
  }
  const auto stack = backend->make_experts(sources);
  EXPECT_EQ(stack->bytes_per_expert(), 3 * hidden * width * 2);
  for (const int64_t tokens : {1, 3, 50}) {
    const std::vector<float> x = random_floats(tokens * hidden, 5);
    const std::vector<float> weights = random_floats(tokens * k, 6);
    std::vector<int32_t> ids;
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t j = 0; j < k; ++j)
        ids.push_back(static_cast<int32_t>((3 * t + 5 * j) % experts));
    }
    std::vector<float> got(x.size(), 7.0f), want(x.size());
    backend->experts(view_of(got, tokens), view_of(x, tokens), ids, weights, k, *stack);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t j = 0; j < k; ++j) {
        const auto e = static_cast<size_t>(ids[t * k + j]);
        std::vector<double> h(width);
        for (int64_t i = 0; i < width; ++i) {
          double a = 0, b = 0;
          for (int64_t c = 0; c < hidden; ++c) {
            a += static_cast<double>(gate[e][i * hidden + c]) * x[t * hidden + c];
            b += static_cast<double>(up[e][i * hidden + c]) * x[t * hidden + c];
          }
          h[i] = silu(a) * b;
        }
        for (int64_t i = 0; i < hidden; ++i) {
          double a = 0;
          for (int64_t c = 0; c < width; ++c) a += down[e][i * width + c] * h[c];
          want[t * hidden + i] += static_cast<float>(weights[t * k + j] * a);
        }
      }
    }
    EXPECT_LT(error_of(got, want), 2e-6f) << tokens;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Ops, testing::ValuesIn(isas_on_this_machine()), isa_test_name);

}  // namespace
}  // namespace headgate
