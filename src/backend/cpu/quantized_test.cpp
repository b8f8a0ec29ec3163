// Quantised weights: layouts agree, rows never see their neighbours, threads never show.
#include "backend/cpu/test_support.h"
#include "base/error.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

class Quantized : public testing::TestWithParam<Isa> {};

constexpr DType kTypes[] = {DType::kQ4_0,  DType::kQ4_1,   DType::kQ5_0,   DType::kQ5_1,
                            DType::kQ8_0,  DType::kQ2_K,   DType::kQ3_K,   DType::kQ4_K,
                            DType::kQ5_K,  DType::kQ6_K,   DType::kIQ4_NL, DType::kIQ4_XS,
                            DType::kMXFP4, DType::kF8E4M3, DType::kF64};

// Rows of any type made by encoding random values.
std::vector<std::byte> encoded_rows(DType type, int64_t rows, int64_t cols, uint64_t seed) {
  const std::vector<float> values = random_floats(rows * cols, seed);
  std::vector<std::byte> out(static_cast<size_t>(rows * row_bytes(type, cols)));
  if (type == DType::kF64) {
    for (size_t i = 0; i < values.size(); ++i) {
      const double v = values[i];
      std::memcpy(&out[8 * i], &v, 8);
    }
  } else if (type == DType::kF8E4M3) {
    for (size_t i = 0; i < out.size(); ++i)  // every code but the NaNs, 0x7f and 0xff
      out[i] = static_cast<std::byte>(random_bits(seed, 1, i) % 127 | (i % 2) << 7);
  } else {
    for (int64_t r = 0; r < rows; ++r)
      quantize_row(type, values.data() + r * cols, out.data() + r * row_bytes(type, cols), cols);
  }
  return out;
}

MatrixSource source_of(DType type, int64_t rows, int64_t cols,
                       const std::vector<std::byte>& bytes) {
  MatrixSource source;
  source.dtype = type;
  source.rows = rows;
  source.cols = cols;
  source.bytes = bytes;
  return source;
}

std::vector<float> decoded_rows(DType type, int64_t rows, int64_t cols,
                                const std::vector<std::byte>& bytes) {
  std::vector<float> out(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r)
    dequantize_row(type, bytes.data() + r * row_bytes(type, cols), out.data() + r * cols, cols);
  return out;
}

std::vector<float> plain_product(const std::vector<float>& w, const std::vector<float>& x,
                                 int64_t rows, int64_t cols, int64_t tokens) {
  std::vector<float> out(static_cast<size_t>(tokens * rows));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < cols; ++c)
        sum += static_cast<double>(x[t * cols + c]) * w[r * cols + c];
      out[t * rows + r] = static_cast<float>(sum);
    }
  }
  return out;
}

TEST_P(Quantized, ExactModeMultipliesTheDecodedWeights) {
  const auto backend = backend_of(GetParam(), 2, true, true);
  const int64_t rows = 37, cols = 512, tokens = 3;
  const std::vector<float> x = random_floats(tokens * cols, 2);
  for (const DType type : kTypes) {
    const auto bytes = encoded_rows(type, rows, cols, 1);
    const auto matrix = backend->make_matrix(source_of(type, rows, cols, bytes));
    std::vector<float> got(static_cast<size_t>(tokens * rows));
    backend->linear(view_of(got, tokens), view_of(x, tokens), *matrix);
    const auto want = plain_product(decoded_rows(type, rows, cols, bytes), x, rows, cols, tokens);
    EXPECT_LT(error_of(got, want), 3e-6f) << dtype_name(type);
  }
}

TEST_P(Quantized, FastModeStaysWithinTheErrorOfInt8Activations) {
  const auto backend = backend_of(GetParam());
  for (const DType type : kTypes) {
    for (const int64_t cols : {256, 96, 352, 1024}) {
      if (cols % dtype_info(type).block_elements != 0) continue;
      const int64_t rows = 37, tokens = 3;
      const std::vector<float> x = random_floats(tokens * cols, 2);
      const auto bytes = encoded_rows(type, rows, cols, 1);
      const auto matrix = backend->make_matrix(source_of(type, rows, cols, bytes));
      std::vector<float> got(static_cast<size_t>(tokens * rows));
      backend->linear(view_of(got, tokens), view_of(x, tokens), *matrix);
      const auto want = plain_product(decoded_rows(type, rows, cols, bytes), x, rows, cols, tokens);
      EXPECT_LT(error_of(got, want), 1.5e-2f) << dtype_name(type) << " " << cols;
    }
  }
}

TEST_P(Quantized, EmbeddingReadsBackStoredValuesFromEveryLayout) {
  for (const bool pack : {true, false}) {
    const auto backend = backend_of(GetParam(), 2, pack);
    for (const DType type : kTypes) {
      const int64_t rows = 21, cols = 256;
      const auto bytes = encoded_rows(type, rows, cols, 3);
      const auto matrix = backend->make_matrix(source_of(type, rows, cols, bytes));
      const std::vector<int32_t> ids = {20, 0, 16, 15, 7, 7};
      std::vector<float> got(ids.size() * cols);
      backend->embed(view_of(got, static_cast<int64_t>(ids.size())), ids, *matrix);
      const auto values = decoded_rows(type, rows, cols, bytes);
      for (size_t i = 0; i < ids.size(); ++i) {
        for (int64_t c = 0; c < cols; ++c)
          ASSERT_EQ(got[i * cols + c], values[ids[i] * cols + c]) << dtype_name(type);
      }
    }
  }
}

TEST_P(Quantized, BlockScalesFollowTheStoredRow) {
  const auto backend = backend_of(GetParam());
  const int64_t stored_rows = 300, cols = 200;
  const auto bytes = encoded_rows(DType::kF8E4M3, stored_rows, cols, 4);
  const std::vector<float> scales = {1, 2, 3, 4, 5, 6};  // 3 x 2 blocks
  const std::vector<int64_t> order = {299, 0, 128, 127, 255};
  MatrixSource source = source_of(DType::kF8E4M3, 5, cols, bytes);
  source.block_scales = scales;
  source.row_order = order;
  const auto values = decoded_rows(DType::kF8E4M3, stored_rows, cols, bytes);
  for (const bool stay : {false, true}) {
    source.bytes_stay = stay;
    const auto matrix = backend->make_matrix(source);
    std::vector<float> got(static_cast<size_t>(5 * cols));
    backend->embed(view_of(got, 5), std::vector<int32_t>{0, 1, 2, 3, 4}, *matrix);
    for (int64_t r = 0; r < 5; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const float scale = scales[order[r] / 128 * 2 + c / 128];
        ASSERT_EQ(got[r * cols + c], values[order[r] * cols + c] * scale);
      }
    }
  }
}

// The same rows alone, in batches and on other numbers of threads: all bits equal.
TEST_P(Quantized, RowsDoNotDependOnBatchOrThreads) {
  const int64_t rows = 40, cols = 512, tokens = 131;
  const std::vector<float> x = random_floats(tokens * cols, 2);
  for (const DType type : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kQ8_0, DType::kQ4_0,
                           DType::kIQ4_XS, DType::kBF16}) {
    std::vector<std::byte> bytes;
    if (type == DType::kBF16) {
      std::vector<float> values = random_floats(rows * cols, 1);
      bytes = stored_floats(values, type);
    } else {
      bytes = encoded_rows(type, rows, cols, 1);
    }
    std::vector<float> first;
    for (const int threads : {1, 2, 5}) {
      const auto backend = backend_of(GetParam(), threads);
      const auto matrix = backend->make_matrix(source_of(type, rows, cols, bytes));
      for (const int64_t step : {tokens, int64_t{1}, int64_t{7}}) {
        if (threads > 1 && step == 1) continue;
        std::vector<float> got(static_cast<size_t>(tokens * rows));
        for (int64_t t = 0; t < tokens; t += step) {
          const int64_t n = std::min(step, tokens - t);
          backend->linear(view_of(got, tokens).row_range(t, n), view_of(x, tokens).row_range(t, n),
                          *matrix);
        }
        if (first.empty()) first = got;
        EXPECT_EQ(got, first) << dtype_name(type) << " " << threads << " " << step;
      }
    }
  }
}

// Sixteen bits of activations: all but exact, and rows still do not see each other.
TEST_P(Quantized, PreciseProductsAreAllButExact) {
  const int64_t rows = 83, tokens = 140;
  for (const DType type : {DType::kQ4_K, DType::kQ6_K, DType::kQ8_0}) {
    for (const int64_t cols : {256, 768, 352}) {
      if (cols % dtype_info(type).block_elements != 0) continue;
      std::vector<float> x = random_floats(tokens * cols, 2);
      for (size_t i = 0; i < x.size(); i += 37) x[i] *= 60.0f;
      const auto bytes = encoded_rows(type, rows, cols, 1);
      MatrixSource source = source_of(type, rows, cols, bytes);
      source.precise = true;
      const auto want = plain_product(decoded_rows(type, rows, cols, bytes), x, rows, cols, tokens);
      std::vector<float> first;
      for (const int threads : {1, 3}) {
        const auto backend = backend_of(GetParam(), threads);
        const auto matrix = backend->make_matrix(source);
        for (const int64_t step : {tokens, int64_t{1}, int64_t{9}}) {
          std::vector<float> got(want.size());
          for (int64_t t = 0; t < tokens; t += step) {
            const int64_t n = std::min(step, tokens - t);
            backend->linear(view_of(got, tokens).row_range(t, n),
                            view_of(x, tokens).row_range(t, n), *matrix);
          }
          if (first.empty()) first = got;
          EXPECT_EQ(got, first) << dtype_name(type) << " " << cols << " " << step;
        }
      }
      EXPECT_LT(error_of(first, want), 1e-4f) << dtype_name(type) << " " << cols;
    }
  }
}

// Two hundred sequences in a step, or one: what a server may not change.
TEST_P(Quantized, RowsOfLargeStepsAreIndependentWhereThatIsAsked) {
  const int64_t rows = 96, cols = 256, tokens = CpuBackend::kTileStepRows + 20;
  const auto backend = backend_of(GetParam(), 2);
  if (backend->description().find("amx") != std::string::npos)
    GTEST_SKIP() << "a matrix unit rounds large steps its own way";
  backend->keep_rows_independent(true);
  const std::vector<float> x = random_floats(tokens * cols, 2);
  for (const bool precise : {false, true}) {
    const auto bytes = encoded_rows(DType::kQ8_0, rows, cols, 1);
    MatrixSource source = source_of(DType::kQ8_0, rows, cols, bytes);
    source.precise = precise;
    const auto matrix = backend->make_matrix(source);
    std::vector<float> together(static_cast<size_t>(tokens * rows)), alone = together;
    backend->linear(view_of(together, tokens), view_of(x, tokens), *matrix);
    for (int64_t t = 0; t < tokens; ++t)
      backend->linear(view_of(alone, tokens).row_range(t, 1), view_of(x, tokens).row_range(t, 1),
                      *matrix);
    EXPECT_EQ(together, alone) << precise;
  }
}

// Panels, stored floats and decoded rows may share a region; sizes that do not fill a panel too.
TEST_P(Quantized, GroupsOfProductsEqualTheirPartsOneByOne) {
  const int64_t cols = 256;
  const DType types[] = {DType::kQ4_K, DType::kF32, DType::kQ8_0, DType::kQ3_K, DType::kQ6_K};
  const int64_t rows[] = {200, 1, 37, 16, 5};
  const auto backend = backend_of(GetParam(), 2);
  std::vector<std::unique_ptr<Matrix>> matrices;
  for (size_t p = 0; p < 5; ++p) {
    std::vector<float> values = random_floats(rows[p] * cols, p);
    const auto bytes = types[p] == DType::kF32 ? stored_floats(values, types[p])
                                               : encoded_rows(types[p], rows[p], cols, p);
    matrices.push_back(backend->make_matrix(source_of(types[p], rows[p], cols, bytes)));
  }
  for (const int64_t tokens : {1, 3, 150}) {
    const std::vector<float> x = random_floats(tokens * cols, 9);
    std::vector<std::vector<float>> got(5);
    std::vector<LinearPart> parts;
    for (size_t p = 0; p < 5; ++p) {
      got[p].resize(static_cast<size_t>(tokens * rows[p]));
      parts.push_back({view_of(got[p], tokens), matrices[p].get()});
    }
    backend->linear_group(parts, view_of(x, tokens));
    for (size_t p = 0; p < 5; ++p) {
      std::vector<float> want(got[p].size());
      backend->linear(view_of(want, tokens), view_of(x, tokens), *matrices[p]);
      EXPECT_EQ(got[p], want) << dtype_name(types[p]) << " " << tokens;
    }
  }
}

TEST_P(Quantized, ExpertsDoNotDependOnBatchThreadsOrLayout) {
  const int64_t experts = 9, hidden = 256, width = 96, k = 2, tokens = 140;
  std::vector<std::vector<std::byte>> bytes;
  bytes.reserve(27);
  std::vector<ExpertSource> sources;
  for (int64_t e = 0; e < experts; ++e) {
    ExpertSource s;
    bytes.push_back(encoded_rows(DType::kQ4_K, width, hidden, 10 + e));
    s.gate = source_of(DType::kQ4_K, width, hidden, bytes.back());
    bytes.push_back(encoded_rows(DType::kQ4_K, width, hidden, 30 + e));
    s.up = source_of(DType::kQ4_K, width, hidden, bytes.back());
    bytes.push_back(encoded_rows(DType::kQ8_0, hidden, width, 50 + e));
    s.down = source_of(DType::kQ8_0, hidden, width, bytes.back());
    sources.push_back(s);
  }
  const std::vector<float> x = random_floats(tokens * hidden, 1);
  const std::vector<float> weights = random_floats(tokens * k, 2);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < tokens; ++t) {
    // Half of the tokens share an expert: more rows than one task takes.
    ids.push_back(static_cast<int32_t>(t % 8 < 7 ? 3 : 4));
    ids.push_back(static_cast<int32_t>(t % 3));
  }
  std::vector<float> first;
  for (const int threads : {1, 3}) {
    const auto backend = backend_of(GetParam(), threads);
    const auto stack = backend->make_experts(sources);
    for (const int64_t step : {tokens, int64_t{1}, int64_t{11}}) {
      std::vector<float> got(x.size());
      for (int64_t t = 0; t < tokens; t += step) {
        const int64_t n = std::min(step, tokens - t);
        backend->experts(view_of(got, tokens).row_range(t, n), view_of(x, tokens).row_range(t, n),
                         std::span(ids).subspan(t * k, n * k),
                         std::span(weights).subspan(t * k, n * k), k, *stack);
      }
      if (first.empty()) first = got;
      EXPECT_EQ(got, first) << threads << " " << step;
    }
  }
  const auto exact = backend_of(GetParam(), 2, true, true);
  const auto stack = exact->make_experts(sources);
  std::vector<float> want(x.size());
  exact->experts(view_of(want, tokens), view_of(x, tokens), ids, weights, k, *stack);
  EXPECT_LT(error_of(first, want), 2e-2f);
}

TEST_P(Quantized, FloatsThatAreBf16AreReadAsBf16) {
  constexpr int64_t kRows = 37, kCols = 200, kTokens = 3;
  std::vector<float> values = random_floats(kRows * kCols, 1);
  const std::vector<float> x = random_floats(kTokens * kCols, 2);
  const auto product = [&](bool pack, int64_t& bytes) {
    const std::vector<std::byte> stored = stored_floats(values, DType::kF32);
    MatrixSource source;
    source.dtype = DType::kF32;
    source.rows = kRows;
    source.cols = kCols;
    source.bytes = stored;
    source.bytes_stay = !pack;
    const auto backend = backend_of(GetParam(), 2, pack);
    const auto matrix = backend->make_matrix(source);
    bytes = matrix->bytes();
    std::vector<float> y(static_cast<size_t>(kTokens * kRows));
    backend->linear(view_of(y, kTokens), view_of(x, kTokens), *matrix);
    return y;
  };
  int64_t bytes = 0;
  product(true, bytes);
  EXPECT_EQ(bytes, kRows * kCols * 4) << "values that need more bits keep them";
  stored_floats(values, DType::kBF16);
  const std::vector<float> narrow = product(true, bytes);
  EXPECT_EQ(bytes, kRows * kCols * 2);
  EXPECT_EQ(narrow, product(false, bytes));
  EXPECT_EQ(bytes, kRows * kCols * 4);
}

TEST(Weights, RefusesWhatItCannotMultiply) {
  const auto backend = backend_of(Isa::kScalar, 1);
  const std::vector<std::byte> bytes(1024);
  const auto refused = [&](const MatrixSource& source, ErrorCode code, const std::string& part) {
    try {
      backend->make_matrix(source);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code);
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
      return true;
    }
    return false;
  };
  EXPECT_TRUE(refused(source_of(DType::kI32, 16, 16, bytes), ErrorCode::kUnsupported, "i32"));
  EXPECT_TRUE(refused(source_of(DType::kF32, 16, 15, bytes), ErrorCode::kInvalidArgument, "960"));
  EXPECT_TRUE(refused(source_of(DType::kQ8_0, 1, 33, bytes), ErrorCode::kInvalidArgument, "32"));
  EXPECT_TRUE(refused(source_of(DType::kF32, 0, 16, {}), ErrorCode::kInvalidArgument, "[0, 16]"));
  MatrixSource ordered = source_of(DType::kF32, 1, 16, bytes);
  const std::vector<int64_t> order = {16};
  ordered.row_order = order;
  EXPECT_TRUE(refused(ordered, ErrorCode::kInvalidArgument, "row 16 of 16"));
}

INSTANTIATE_TEST_SUITE_P(Isas, Quantized, testing::ValuesIn(isas_on_this_machine()), isa_test_name);

}  // namespace
}  // namespace headgate
