// The codec against fixtures made by the gguf package and by ggml.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "formats/safetensors.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

const std::string kFolder = std::string(HEADGATE_SOURCE_DIR) + "/tests/golden/kernels/";

std::vector<float> floats(const TensorStore& store, std::string_view name) {
  const TensorEntry& entry = store.require(name);
  std::vector<float> values(static_cast<size_t>(entry.elements()));
  dequantize_row(entry.dtype, store.data(entry).data(), values.data(), entry.elements());
  return values;
}

std::vector<std::string> names_with_suffix(const TensorStore& store, std::string_view suffix) {
  std::vector<std::string> names;
  for (const TensorEntry& entry : store.tensors()) {
    if (entry.name.ends_with(suffix)) {
      names.push_back(entry.name.substr(0, entry.name.size() - suffix.size()));
    }
  }
  return names;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(CodecGolden, DecodesEveryTypeBitForBit) {
  const TensorStore store = open_safetensors(kFolder + "quant_blocks.safetensors");
  const std::vector<std::string> types = names_with_suffix(store, ".bytes");
  EXPECT_EQ(types.size(), 15u);
  for (const std::string& type : types) {
    const std::vector<float> want = floats(store, type + ".values");
    std::vector<float> got(want.size());
    dequantize_row(dtype_from_name(type).value(), store.data(store.require(type + ".bytes")).data(),
                   got.data(), static_cast<int64_t>(got.size()));
    EXPECT_TRUE(same_bits(got, want)) << type;
  }
}

TEST(CodecGolden, DecodesFp8WithRaggedBlockScales) {
  const TensorStore store = open_safetensors(kFolder + "fp8_blocks.safetensors");
  const TensorEntry& weight = store.require("weight");
  const std::vector<float> scales = floats(store, "weight_scale_inv"),
                           want = floats(store, "values");
  const int64_t cols = weight.cols(), scale_cols = store.require("weight_scale_inv").cols();
  std::vector<float> got(want.size());
  for (int64_t r = 0; r < weight.rows(); ++r) {
    dequantize_fp8_row(store.data(weight).data() + r * cols, scales.data() + r / 128 * scale_cols,
                       got.data() + r * cols, cols);
  }
  EXPECT_TRUE(same_bits(got, want));
  const std::vector<float> codes = floats(store, "code_values");
  std::vector<float> decoded(256);
  dequantize_row(DType::kF8E4M3, store.data(store.require("codes")).data(), decoded.data(), 256);
  EXPECT_TRUE(same_bits(decoded, codes));
}

TEST(CodecGolden, ClosedFormTypesEncodeBitForBit) {
  const TensorStore store = open_safetensors(kFolder + "quantized_rows.safetensors");
  for (const std::string& key : names_with_suffix(store, ".bytes")) {
    const size_t dot = key.find('.');
    const DType type = dtype_from_name(key.substr(0, dot)).value();
    const std::vector<float> rows = floats(store, key.substr(dot + 1));
    const std::span<const std::byte> want = store.data(store.require(key + ".bytes"));
    std::vector<std::byte> got(want.size());
    quantize_row(type, rows.data(), got.data(), static_cast<int64_t>(rows.size()));
    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size()), 0) << key;
  }
}

// sqrt(sum w (decoded - row)^2 / sum w row^2) over rows of 512.
double weighted_error(DType type, const std::vector<float>& rows, const std::vector<float>* w) {
  const int64_t cols = 512;
  std::vector<std::byte> bytes(static_cast<size_t>(row_bytes(type, cols)));
  std::vector<float> got(static_cast<size_t>(cols));
  double error = 0, energy = 0;
  for (size_t r = 0; r < rows.size(); r += 512) {
    quantize_row(type, rows.data() + r, bytes.data(), cols, w == nullptr ? nullptr : w->data());
    dequantize_row(type, bytes.data(), got.data(), cols);
    for (size_t i = 0; i < 512; ++i) {
      const double weight = w == nullptr ? 1.0 : (*w)[i], x = rows[r + i];
      error += weight * (got[i] - x) * (got[i] - x);
      energy += weight * x * x;
    }
  }
  return std::sqrt(error / energy);
}

TEST(CodecGolden, SearchedTypesAreAtLeastAsCloseAsGgml) {
  const TensorStore store = open_safetensors(kFolder + "quantized_rows.safetensors");
  const std::vector<float> importance = floats(store, "importance");
  const std::vector<std::string> keys = names_with_suffix(store, ".errors");
  EXPECT_EQ(keys.size(), 14u);
  for (const std::string& key : keys) {
    const size_t dot = key.find('.');
    const DType type = dtype_from_name(key.substr(0, dot)).value();
    const std::vector<float> rows = floats(store, key.substr(dot + 1));
    const std::vector<float> theirs = floats(store, key + ".errors");
    EXPECT_LE(weighted_error(type, rows, nullptr), theirs[0]) << key;
    EXPECT_LE(weighted_error(type, rows, &importance), theirs[1]) << key << " weighted";
  }
}

}  // namespace
}  // namespace headgate
