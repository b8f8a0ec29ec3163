// Helpers of the backend's tests: random data, backends of a given instruction set, comparison.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/random.h"
#include "tensor/half.h"

namespace headgate {

inline std::vector<float> random_floats(int64_t n, uint64_t seed, float scale = 1.0f) {
  std::vector<float> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    out[static_cast<size_t>(i)] = scale * random_normal(seed, 0, static_cast<uint64_t>(i));
  return out;
}

inline std::vector<std::byte> random_bytes(int64_t n, uint64_t seed) {
  std::vector<std::byte> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    out[static_cast<size_t>(i)] =
        static_cast<std::byte>(random_bits(seed, 1, static_cast<uint64_t>(i)) & 255);
  return out;
}

// Rows of F32, F16 or BF16 with the given values, rounded; `values` receives what was stored.
inline std::vector<std::byte> stored_floats(std::vector<float>& values, DType type) {
  const size_t size = type == DType::kF32 ? 4 : 2;
  std::vector<std::byte> out(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == DType::kF32) {
      std::memcpy(&out[4 * i], &values[i], 4);
      continue;
    }
    const bool bf16 = type == DType::kBF16;
    const uint16_t h = bf16 ? float_to_bf16(values[i]) : float_to_fp16(values[i]);
    values[i] = bf16 ? bf16_to_float(h) : fp16_to_float(h);
    std::memcpy(&out[2 * i], &h, 2);
  }
  return out;
}

// Random stored blocks with sane scales: every fp16 scale field lies near 1e-2.
inline std::vector<std::byte> random_blocks(DType type, int64_t rows, int64_t cols, uint64_t seed) {
  const int64_t bytes = rows * row_bytes(type, cols);
  std::vector<std::byte> out = random_bytes(bytes, seed);
  const int64_t block = dtype_info(type).block_bytes;
  std::vector<int64_t> scales = {0};
  if (type == DType::kQ4_K || type == DType::kQ5_K) scales = {0, 2};
  if (type == DType::kQ6_K) scales = {208};
  for (int64_t at = 0; at < bytes; at += block) {
    for (const int64_t field : scales) {
      const float d = 0.001f + 0.01f * static_cast<float>(random_uniform(
                                           seed, 2, static_cast<uint64_t>(at + field)));
      const uint16_t h = float_to_fp16(d);
      std::memcpy(&out[static_cast<size_t>(at + field)], &h, 2);
    }
  }
  return out;
}

inline std::unique_ptr<CpuBackend> backend_of(Isa isa, int threads = 2, bool pack = true,
                                              bool exact = false) {
  BackendOptions options;
  options.threads = threads;
  options.pack = pack;
  options.exact_activations = exact;
  return std::make_unique<CpuBackend>(options, isa);
}

inline MutView view_of(std::vector<float>& v, int64_t rows) {
  return {v.data(), rows, static_cast<int64_t>(v.size()) / rows};
}
inline View view_of(const std::vector<float>& v, int64_t rows) {
  return {v.data(), rows, static_cast<int64_t>(v.size()) / rows};
}

inline float largest(const std::vector<float>& v) {
  float max = 0;
  for (const float x : v) max = std::max(max, std::fabs(x));
  return max;
}

// Largest difference, relative to the largest value wanted.
inline float error_of(const std::vector<float>& got, const std::vector<float>& want) {
  float max = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    max = std::max(max, std::fabs(got[i] - want[i]));
  }
  return max / std::max(largest(want), 1e-30f);
}

inline std::string isa_test_name(const testing::TestParamInfo<Isa>& info) {
  return std::string(isa_name(info.param));
}

}  // namespace headgate
