// The codec against its own contract: round trips, error bounds, hostile values.
#include "tensor/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "tensor/half.h"

namespace headgate {
namespace {

std::vector<DType> block_types() {
  std::vector<DType> types;
  for (int t = static_cast<int>(DType::kQ4_0); t <= static_cast<int>(DType::kMXFP4); ++t) {
    types.push_back(static_cast<DType>(t));
  }
  return types;
}

std::vector<float> normal_row(int64_t n, uint64_t seed, float scale) {
  std::vector<float> row(static_cast<size_t>(n));
  for (size_t i = 0; i < row.size(); ++i) row[i] = scale * random_normal(seed, 0, i);
  return row;
}

std::vector<std::byte> quantized(DType type, const std::vector<float>& row,
                                 const float* importance = nullptr) {
  const auto n = static_cast<int64_t>(row.size());
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(type, n)));
  quantize_row(type, row.data(), bytes.data(), n, importance);
  return bytes;
}

std::vector<float> dequantized(DType type, const std::vector<std::byte>& bytes, size_t n) {
  std::vector<float> row(n);
  dequantize_row(type, bytes.data(), row.data(), static_cast<int64_t>(n));
  return row;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - want[i], 2);
    energy += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / energy);
}

// Relative RMS error of normal values that each type must stay below.
double error_bound(DType type) {
  switch (type) {
    case DType::kQ2_K:
      return 0.29;
    case DType::kQ3_K:
      return 0.155;
    case DType::kMXFP4:
      return 0.125;
    case DType::kQ4_0:
      return 0.092;
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K:
      return 0.046;
    case DType::kQ6_K:
      return 0.019;
    case DType::kQ8_0:
      return 0.006;
    default:
      return 0.085;
  }
}

TEST(Codec, ErrorOfNormalRowsStaysBelowTheBoundOfTheType) {
  const std::vector<float> row = normal_row(4096, 7, 0.02f);
  for (const DType type : block_types()) {
    const double error = relative_error(dequantized(type, quantized(type, row), row.size()), row);
    EXPECT_LT(error, error_bound(type)) << dtype_name(type);
    EXPECT_GT(error, 0.0) << dtype_name(type);
  }
}

TEST(Codec, ImportanceMovesTheErrorToUnimportantColumns) {
  const std::vector<float> row = normal_row(4096, 8, 0.02f);
  std::vector<float> importance(row.size());
  for (size_t i = 0; i < importance.size(); ++i) {
    importance[i] = std::exp(1.5f * random_normal(9, 0, i));
  }
  const auto weighted_error = [&](DType type, const float* w) {
    const std::vector<float> got = dequantized(type, quantized(type, row, w), row.size());
    double error = 0;
    for (size_t i = 0; i < row.size(); ++i) error += importance[i] * std::pow(got[i] - row[i], 2);
    return error;
  };
  for (const DType type : block_types()) {
    if (type == DType::kQ8_0) continue;  // documented to ignore weights
    EXPECT_LT(weighted_error(type, importance.data()), weighted_error(type, nullptr))
        << dtype_name(type);
  }
}

TEST(Codec, CodesThatAreAlreadyOnTheGridComeBackUnchanged) {
  for (const DType type : block_types()) {
    const std::vector<float> row = normal_row(512, 3, 1.0f);
    const std::vector<float> once = dequantized(type, quantized(type, row), row.size());
    const std::vector<float> twice = dequantized(type, quantized(type, once), once.size());
    // A search may find an equivalent grid, never a clearly worse one.
    EXPECT_LT(relative_error(twice, once), 0.35 * error_bound(type)) << dtype_name(type);
  }
}

TEST(Codec, ZerosStayZeroAndConstantsStayClose) {
  for (const DType type : block_types()) {
    const std::vector<float> zeros(256, 0.0f), ones(256, 1.0f), negative(256, -3.0f);
    for (const float v : dequantized(type, quantized(type, zeros), 256)) EXPECT_EQ(v, 0.0f);
    EXPECT_LT(relative_error(dequantized(type, quantized(type, ones), 256), ones), 0.05)
        << dtype_name(type);
    EXPECT_LT(relative_error(dequantized(type, quantized(type, negative), 256), negative), 0.26)
        << dtype_name(type);
  }
}

TEST(Codec, ValuesThatAreNotFiniteCountAsZero) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const DType type : block_types()) {
    std::vector<float> row = normal_row(256, 4, 0.5f), clean = row;
    row[3] = kInf;
    row[77] = -kInf;
    row[200] = std::numeric_limits<float>::quiet_NaN();
    clean[3] = clean[77] = clean[200] = 0.0f;
    EXPECT_EQ(quantized(type, row), quantized(type, clean)) << dtype_name(type);
  }
}

TEST(Codec, ExtremeRowsGiveFiniteValues) {
  for (const DType type : block_types()) {
    for (const float scale : {1e-30f, 1e-12f, 1e-7f, 1e-4f, 1e3f}) {
      const std::vector<float> row = normal_row(256, 5, scale);
      for (const float v : dequantized(type, quantized(type, row), 256)) {
        ASSERT_TRUE(std::isfinite(v)) << dtype_name(type) << " " << scale;
      }
    }
  }
}

TEST(Codec, SmallWeightsKeepTheirPrecisionInBlocksWithIntegerScales) {
  // Scales of values near 1e-4 are subnormal half floats.
  const std::vector<float> row = normal_row(1024, 6, 1e-4f);
  for (const DType type : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_XS}) {
    EXPECT_LT(relative_error(dequantized(type, quantized(type, row), row.size()), row),
              1.1 * error_bound(type))
        << dtype_name(type);
  }
}

TEST(Codec, UnusableImportanceIsIgnored) {
  const std::vector<float> row = normal_row(256, 11, 0.1f);
  const std::vector<float> even(256, 1.0f), zero(256, 0.0f),
      bad(256, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(quantized(DType::kQ4_K, row, zero.data()), quantized(DType::kQ4_K, row, even.data()));
  EXPECT_EQ(quantized(DType::kQ4_K, row, bad.data()), quantized(DType::kQ4_K, row));
}

TEST(Codec, HalvesRoundToNearestEven) {
  const std::vector<float> row = {1.0f, -2.5f, 65504.0f, 1.00048828125f, 6e-8f, 3.3895314e38f};
  const std::vector<float> f16 = dequantized(DType::kF16, quantized(DType::kF16, row), 5);
  EXPECT_EQ(f16[0], 1.0f);
  EXPECT_EQ(f16[1], -2.5f);
  EXPECT_EQ(f16[2], 65504.0f);
  EXPECT_EQ(f16[3], 1.0f);
  EXPECT_EQ(f16[4], 5.9604645e-8f);
  EXPECT_EQ(dequantized(DType::kBF16, quantized(DType::kBF16, row), 6)[5], 3.3895314e38f);
  EXPECT_EQ(dequantized(DType::kF32, quantized(DType::kF32, row), 6), row);
}

TEST(Codec, Fp8CodesDecodeByTheirFormula) {
  for (int code = 0; code < 256; ++code) {
    const int exponent = (code >> 3) & 15, mantissa = code & 7;
    const float got = fp8_e4m3_to_float(static_cast<uint8_t>(code));
    if ((code & 127) == 127) {
      EXPECT_TRUE(std::isnan(got));
      continue;
    }
    const double magnitude = exponent == 0 ? mantissa * std::ldexp(1.0, -9)
                                           : (1.0 + mantissa / 8.0) * std::ldexp(1.0, exponent - 7);
    EXPECT_EQ(got, static_cast<float>(code >= 128 ? -magnitude : magnitude)) << code;
  }
}

}  // namespace
}  // namespace headgate
