// Large steps on a matrix unit, real where the machine has one and emulated: close to exact
// products, the same bits for every number of threads, and small steps as on the level below.
#include "backend/cpu/test_support.h"
#include "kernels/dispatch.h"
#include "kernels/emulated_amx.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

struct Unit {
  std::string name;
  KernelTable table;
};

std::vector<Unit> units_to_test() {
  std::vector<Unit> units;
  if (cpu_info().best >= Isa::kAmx) units.push_back({"amx", kernels_for(Isa::kAmx)});
#if defined(HEADGATE_TEST_EMULATED_AMX)
  if (cpu_info().best >= Isa::kAvx512) {
    units.push_back({"emulated", kernels_for(std::min(cpu_info().best, Isa::kAvx512Bf16))});
    amx_emulated::fill(units.back().table);
  }
#endif
  return units;
}

class MatrixUnit : public testing::TestWithParam<Unit> {
 protected:
  std::unique_ptr<CpuBackend> backend(int threads) const {
    BackendOptions options;
    options.threads = threads;
    return std::make_unique<CpuBackend>(options, Isa::kAmx, GetParam().table);
  }
  static std::unique_ptr<CpuBackend> exact() {
    return backend_of(cpu_info().best, 2, /*pack=*/true, /*exact=*/true);
  }
  static std::unique_ptr<CpuBackend> below() {
    return backend_of(std::min(cpu_info().best, Isa::kAvx512Bf16));
  }
};

struct Stored {
  Stored(DType t, int64_t r, int64_t c, uint64_t seed) : type(t), rows(r), cols(c) {
    const std::vector<float> values = random_floats(rows * cols, seed);
    bytes.resize(static_cast<size_t>(rows * row_bytes(type, cols)));
    for (int64_t row = 0; row < rows; ++row)
      quantize_row(type, values.data() + row * cols, bytes.data() + row * row_bytes(type, cols),
                   cols);
  }
  MatrixSource source() const {
    MatrixSource s;
    s.dtype = type;
    s.rows = rows;
    s.cols = cols;
    s.bytes = bytes;
    return s;
  }
  DType type;
  int64_t rows, cols;
  std::vector<std::byte> bytes;
};

// Whole panels and parts of one, pairs and single ones, beside matrices that are no panels.
TEST_P(MatrixUnit, LargeStepsAreCloseToExactForAnyThreads) {
  const int64_t cols = 288, tokens = 2 * kTileProductRows + 37;
  const Stored stored[] = {{DType::kQ8_0, 200, cols, 1},
                           {DType::kQ4_0, 37, cols, 2},
                           {DType::kF32, 3, cols, 3},
                           {DType::kIQ4_NL, 5, cols, 4}};
  const std::vector<float> x = random_floats(tokens * cols, 9);
  const auto run = [&](CpuBackend& on, bool together) {
    std::vector<std::unique_ptr<Matrix>> matrices;
    std::vector<std::vector<float>> y;
    std::vector<LinearPart> parts;
    for (const Stored& s : stored) {
      matrices.push_back(on.make_matrix(s.source()));
      y.emplace_back(static_cast<size_t>(tokens * s.rows));
    }
    for (size_t i = 0; i < y.size(); ++i)
      parts.push_back({view_of(y[i], tokens), matrices[i].get()});
    if (together) {
      on.linear_group(parts, view_of(x, tokens));
    } else {
      for (const LinearPart& part : parts) on.linear(part.y, view_of(x, tokens), *part.w);
    }
    return y;
  };
  const auto want = run(*exact(), true), got = run(*backend(1), true);
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_LT(error_of(got[i], want[i]), 4e-3f) << dtype_name(stored[i].type);
  EXPECT_EQ(run(*backend(3), true), got);
  EXPECT_EQ(run(*backend(3), false), got);
}

TEST_P(MatrixUnit, SmallStepsHaveTheBitsOfTheLevelBelow) {
  const Stored stored(DType::kQ4_K, 40, 256, 1);
  const int64_t tokens = CpuBackend::kTileStepRows;
  const std::vector<float> x = random_floats(tokens * stored.cols, 9);
  const auto with = backend(2), without = below();
  const auto a = with->make_matrix(stored.source()), b = without->make_matrix(stored.source());
  for (const int64_t rows : {tokens - 1, tokens}) {
    std::vector<float> got(static_cast<size_t>(rows * stored.rows)), want = got;
    const View in{x.data(), rows, stored.cols};
    with->linear(view_of(got, rows), in, *a);
    without->linear(view_of(want, rows), in, *b);
    EXPECT_EQ(got == want, rows < tokens);
  }
}

TEST_P(MatrixUnit, ExpertsAreCloseToExactForAnyThreads) {
  const int64_t experts = 6, hidden = 256, width = 96, k = 2, tokens = 200;
  std::vector<Stored> stored;
  for (int64_t e = 0; e < experts; ++e) {
    const auto seed = static_cast<uint64_t>(e);
    stored.emplace_back(DType::kQ4_K, width, hidden, 10 + seed);
    stored.emplace_back(DType::kQ4_K, width, hidden, 30 + seed);
    stored.emplace_back(DType::kQ8_0, hidden, width, 50 + seed);
  }
  std::vector<ExpertSource> sources;
  for (size_t e = 0; e < stored.size(); e += 3)
    sources.push_back({stored[e].source(), stored[e + 1].source(), stored[e + 2].source()});
  const std::vector<float> x = random_floats(tokens * hidden, 1);
  const std::vector<float> weights = random_floats(tokens * k, 2);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) {
    // Most tokens share an expert: more rows than one task takes. One expert gets none.
    ids.push_back(static_cast<int32_t>(t % 8 < 7 ? 3 : 4));
    ids.push_back(static_cast<int32_t>(t % 3));
  }
  const auto run = [&](CpuBackend& on) {
    const auto stack = on.make_experts(sources);
    std::vector<float> y(x.size());
    on.experts(view_of(y, tokens), view_of(x, tokens), ids, weights, k, *stack);
    return y;
  };
  const std::vector<float> got = run(*backend(1));
  EXPECT_LT(error_of(got, run(*exact())), 5e-3f);
  EXPECT_EQ(run(*backend(3)), got);
  // It is not the other path that was measured.
  EXPECT_NE(run(*below()), got);
}

// Whole chunks of a span through tiles, the rest token by token; heads in one task or in parts.
TEST_P(MatrixUnit, DeltaNetsAreCloseToTheRecurrenceForAnyThreads) {
  const DeltaShape shape = {1, 2, 64, 128, false};
  const int64_t tokens = 2 * kDeltaChunk + 9, width = shape.value_heads * shape.value_dim;
  const std::vector<float> qkv = random_floats(tokens * shape.conv_channels(), 1);
  const std::vector<float> z = random_floats(tokens * width, 2);
  const std::vector<float> b = random_floats(tokens * shape.value_heads, 3);
  const std::vector<float> a = random_floats(tokens * shape.value_heads, 4);
  const std::vector<float> conv = random_floats(shape.conv_channels() * 4, 5);
  const std::vector<float> neg_exp_a = {-0.02f, -2.0f}, dt_bias = {0.1f, -0.3f};
  const std::vector<float> norm = random_floats(shape.value_dim, 6);
  const DeltaNetInputs in = {view_of(qkv, tokens), view_of(z, tokens), view_of(b, tokens),
                             view_of(a, tokens)};
  const DeltaNetParams params = {shape, conv, 4, neg_exp_a, dt_bias, norm, 1e-6f};
  const auto run = [&](CpuBackend& on) {
    std::vector<float> state = random_floats(width * shape.key_dim, 7);
    std::vector<float> window = random_floats(3 * shape.conv_channels(), 8);
    std::vector<float> o(static_cast<size_t>(tokens * width));
    RecurrentSpan span;
    span.rows = {0, tokens, 0};
    span.conv = window.data();
    span.delta = state.data();
    on.gated_delta_net(view_of(o, tokens), in, params, {&span, 1});
    o.insert(o.end(), state.begin(), state.end());
    return o;
  };
  const std::vector<float> got = run(*backend(1)), want = run(*below());
  EXPECT_NE(got, want);
  EXPECT_LT(error_of(got, want), 2e-2f);
  for (const int threads : {2, 5}) EXPECT_EQ(run(*backend(threads)), got) << threads;
}

#if defined(__x86_64__)
INSTANTIATE_TEST_SUITE_P(Units, MatrixUnit, testing::ValuesIn(units_to_test()),
                         [](const auto& unit) { return unit.param.name; });
#endif
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MatrixUnit);

}  // namespace
}  // namespace headgate
