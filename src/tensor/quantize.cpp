// fp32 rows to every writable type.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "tensor/codec.h"
#include "tensor/quantize_blocks.h"

namespace headgate {
namespace {

template <typename Convert>
void convert_halves(const float* src, std::byte* dst, int64_t n, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t half = convert(src[i]);
    std::memcpy(dst + 2 * i, &half, sizeof half);
  }
}

// Copies the weights of a block; anything unusable counts as zero, and a block without any weight
// is weighted evenly.
void copy_weights(const float* importance, int n, float* w) {
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) {
    w[i] = std::isfinite(importance[i]) && importance[i] > 0.0f ? importance[i] : 0.0f;
    sum += w[i];
  }
  // Weights near one keep the sums of squares inside fp32.
  const float scale = sum > 0.0f && std::isfinite(sum) ? static_cast<float>(n) / sum : 0.0f;
  for (int i = 0; i < n; ++i) w[i] = scale > 0.0f ? w[i] * scale : 1.0f;
}

template <typename Block, int kElements, bool kAlwaysWeighted>
void encode_blocks(const float* src, std::byte* dst, int64_t n, const float* importance) {
  float x[kElements], w[kElements];
  std::fill(w, w + kElements, 1.0f);
  for (int64_t b = 0; b < n / kElements; ++b) {
    for (int i = 0; i < kElements; ++i) {
      const float value = src[b * kElements + i];
      x[i] = std::isfinite(value) ? value : 0.0f;
    }
    if (importance != nullptr) copy_weights(importance + b * kElements, kElements, w);
    const bool weighted = kAlwaysWeighted || importance != nullptr;
    Block block;
    encode(x, weighted ? w : nullptr, block);
    std::memcpy(dst + b * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

}  // namespace

bool is_writable(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || is_quantized(type);
}

void quantize_row(DType type, const float* src, std::byte* dst, int64_t n,
                  const float* importance) {
  HEADGATE_CHECK(n >= 0 && n % dtype_info(type).block_elements == 0);
  if (n == 0) return;
  const float* w = importance;
  switch (type) {
    case DType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      return;
    case DType::kF16:
      return convert_halves(src, dst, n, float_to_fp16);
    case DType::kBF16:
      return convert_halves(src, dst, n, float_to_bf16);
    case DType::kQ4_0:
      return encode_blocks<BlockQ4_0, 32, false>(src, dst, n, w);
    case DType::kQ4_1:
      return encode_blocks<BlockQ4_1, 32, false>(src, dst, n, w);
    case DType::kQ5_0:
      return encode_blocks<BlockQ5_0, 32, false>(src, dst, n, w);
    case DType::kQ5_1:
      return encode_blocks<BlockQ5_1, 32, false>(src, dst, n, w);
    case DType::kQ8_0:
      return encode_blocks<BlockQ8_0, 32, false>(src, dst, n, w);
    case DType::kMXFP4:
      return encode_blocks<BlockMXFP4, 32, false>(src, dst, n, w);
    case DType::kIQ4_NL:
      return encode_blocks<BlockIQ4_NL, 32, true>(src, dst, n, w);
    case DType::kIQ4_XS:
      return encode_blocks<BlockIQ4_XS, 256, true>(src, dst, n, w);
    case DType::kQ2_K:
      return encode_blocks<BlockQ2_K, 256, true>(src, dst, n, w);
    case DType::kQ3_K:
      return encode_blocks<BlockQ3_K, 256, true>(src, dst, n, w);
    case DType::kQ4_K:
      return encode_blocks<BlockQ4_K, 256, true>(src, dst, n, w);
    case DType::kQ5_K:
      return encode_blocks<BlockQ5_K, 256, true>(src, dst, n, w);
    case DType::kQ6_K:
      return encode_blocks<BlockQ6_K, 256, true>(src, dst, n, w);
    default:
      HEADGATE_CHECK(false && "callers ask is_writable first");
  }
}

}  // namespace headgate
