// Stored rows of every type to fp32.
#include "base/error.h"
#include "tensor/blocks.h"
#include "tensor/codec.h"

namespace headgate {
namespace {

// Element types copied through a plain conversion; loads tolerate any alignment.
template <typename Stored, typename Convert>
void convert_plain(const std::byte* src, float* dst, int64_t n, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    Stored value;
    std::memcpy(&value, src + i * static_cast<int64_t>(sizeof(Stored)), sizeof(Stored));
    dst[i] = convert(value);
  }
}

template <typename Stored>
void convert_number(const std::byte* src, float* dst, int64_t n) {
  convert_plain<Stored>(src, dst, n, [](Stored v) { return static_cast<float>(v); });
}

template <typename Block>
void decode_blocks(const std::byte* src, float* dst, int64_t n, int elements,
                   void (*decode)(const Block&, float*)) {
  const auto* blocks = reinterpret_cast<const Block*>(src);
  for (int64_t b = 0; b < n / elements; ++b) decode(blocks[b], dst + b * elements);
}

void decode(const BlockQ4_0& b, float* y) {
  const float d = load_half(b.d);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>((b.qs[i] & 15) - 8);
    y[i + 16] = d * static_cast<float>((b.qs[i] >> 4) - 8);
  }
}

void decode(const BlockQ4_1& b, float* y) {
  const float d = load_half(b.d), m = load_half(b.m);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(b.qs[i] & 15) + m;
    y[i + 16] = d * static_cast<float>(b.qs[i] >> 4) + m;
  }
}

int five_bits(const uint8_t* qs, uint32_t high, int i) {
  const int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
  return low | static_cast<int>((high >> i) & 1u) << 4;
}

void decode(const BlockQ5_0& b, float* y) {
  const float d = load_half(b.d);
  const uint32_t high = load_u32(b.qh);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(five_bits(b.qs, high, i) - 16);
}

void decode(const BlockQ5_1& b, float* y) {
  const float d = load_half(b.d), m = load_half(b.m);
  const uint32_t high = load_u32(b.qh);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(five_bits(b.qs, high, i)) + m;
}

void decode(const BlockQ8_0& b, float* y) {
  const float d = load_half(b.d);
  for (int i = 0; i < 32; ++i) y[i] = static_cast<float>(b.qs[i]) * d;
}

void decode(const BlockIQ4_NL& b, float* y) {
  const float d = load_half(b.d);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(kCodebook[b.qs[i] & 15]);
    y[i + 16] = d * static_cast<float>(kCodebook[b.qs[i] >> 4]);
  }
}

void decode(const BlockMXFP4& b, float* y) {
  const float d = mxfp4_scale(b.e);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(kTwiceE2M1[b.qs[i] & 15]);
    y[i + 16] = d * static_cast<float>(kTwiceE2M1[b.qs[i] >> 4]);
  }
}

void decode(const BlockQ2_K& b, float* y) {
  const float d = load_half(b.d), dmin = load_half(b.dmin);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(b.scales[s] & 15);
    const float minimum = dmin * static_cast<float>(b.scales[s] >> 4);
    const uint8_t* qs = b.qs + 32 * (s / 8) + 16 * (s % 2);
    const int shift = 2 * (s % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      y[16 * s + i] = scale * static_cast<float>((qs[i] >> shift) & 3) - minimum;
    }
  }
}

void decode(const BlockQ3_K& b, float* y) {
  const float d = load_half(b.d);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(load_q3_scale(b.scales, s) - 32);
    const uint8_t* qs = b.qs + 32 * (s / 8) + 16 * (s % 2);
    const uint8_t* high = b.hmask + 16 * (s % 2);
    const int shift = 2 * (s % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      const int q = ((qs[i] >> shift) & 3) - (((high[i] >> (s / 2)) & 1) != 0 ? 0 : 4);
      y[16 * s + i] = scale * static_cast<float>(q);
    }
  }
}

void decode(const BlockQ4_K& b, float* y) {
  const float d = load_half(b.d), dmin = load_half(b.dmin);
  for (int s = 0; s < 8; ++s) {
    int scale = 0, minimum = 0;
    load_scale_min(b.scales, s, &scale, &minimum);
    const float ds = d * static_cast<float>(scale), dm = dmin * static_cast<float>(minimum);
    const uint8_t* qs = b.qs + 32 * (s / 2);
    const int shift = 4 * (s % 2);
    for (int i = 0; i < 32; ++i) {
      y[32 * s + i] = ds * static_cast<float>((qs[i] >> shift) & 15) - dm;
    }
  }
}

void decode(const BlockQ5_K& b, float* y) {
  const float d = load_half(b.d), dmin = load_half(b.dmin);
  for (int s = 0; s < 8; ++s) {
    int scale = 0, minimum = 0;
    load_scale_min(b.scales, s, &scale, &minimum);
    const float ds = d * static_cast<float>(scale), dm = dmin * static_cast<float>(minimum);
    const uint8_t* qs = b.qs + 32 * (s / 2);
    const int shift = 4 * (s % 2);
    for (int i = 0; i < 32; ++i) {
      const int q = ((qs[i] >> shift) & 15) | ((b.qh[i] >> s) & 1) << 4;
      y[32 * s + i] = ds * static_cast<float>(q) - dm;
    }
  }
}

void decode(const BlockQ6_K& b, float* y) {
  const float d = load_half(b.d);
  for (int s = 0; s < 16; ++s) {
    const float scale = d * static_cast<float>(b.scales[s]);
    const int n = s / 8, j = s % 8 / 2, offset = 16 * (s % 2);
    const uint8_t* low = b.ql + 64 * n + 32 * (j % 2) + offset;
    const uint8_t* high = b.qh + 32 * n + offset;
    for (int i = 0; i < 16; ++i) {
      const int q = ((low[i] >> (4 * (j / 2))) & 15) | ((high[i] >> (2 * j)) & 3) << 4;
      y[16 * s + i] = scale * static_cast<float>(q - 32);
    }
  }
}

void decode(const BlockIQ4_XS& b, float* y) {
  const float d = load_half(b.d);
  for (int s = 0; s < 8; ++s) {
    const float scale = d * static_cast<float>(load_iq4_scale(b, s) - 32);
    const uint8_t* qs = b.qs + 16 * s;
    for (int i = 0; i < 16; ++i) {
      y[32 * s + i] = scale * static_cast<float>(kCodebook[qs[i] & 15]);
      y[32 * s + i + 16] = scale * static_cast<float>(kCodebook[qs[i] >> 4]);
    }
  }
}

bool dequantize_plain(DType type, const std::byte* src, float* dst, int64_t n) {
  switch (type) {
    case DType::kF64:
      convert_number<double>(src, dst, n);
      return true;
    case DType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      return true;
    case DType::kF16:
      convert_plain<uint16_t>(src, dst, n, fp16_to_float);
      return true;
    case DType::kBF16:
      convert_plain<uint16_t>(src, dst, n, bf16_to_float);
      return true;
    case DType::kF8E4M3:
      convert_plain<uint8_t>(src, dst, n, fp8_e4m3_to_float);
      return true;
    case DType::kF8E8M0:
      convert_plain<uint8_t>(src, dst, n, fp8_e8m0_to_float);
      return true;
    case DType::kI64:
      convert_number<int64_t>(src, dst, n);
      return true;
    case DType::kI32:
      convert_number<int32_t>(src, dst, n);
      return true;
    case DType::kI16:
      convert_number<int16_t>(src, dst, n);
      return true;
    case DType::kI8:
      convert_number<int8_t>(src, dst, n);
      return true;
    case DType::kU8:
    case DType::kBool:
      convert_number<uint8_t>(src, dst, n);
      return true;
    default:
      return false;
  }
}

}  // namespace

void dequantize_row(DType type, const std::byte* src, float* dst, int64_t n) {
  const int elements = dtype_info(type).block_elements;
  HEADGATE_CHECK(n >= 0 && n % elements == 0);
  if (dequantize_plain(type, src, dst, n)) return;
  switch (type) {
    case DType::kQ4_0:
      return decode_blocks<BlockQ4_0>(src, dst, n, elements, decode);
    case DType::kQ4_1:
      return decode_blocks<BlockQ4_1>(src, dst, n, elements, decode);
    case DType::kQ5_0:
      return decode_blocks<BlockQ5_0>(src, dst, n, elements, decode);
    case DType::kQ5_1:
      return decode_blocks<BlockQ5_1>(src, dst, n, elements, decode);
    case DType::kQ8_0:
      return decode_blocks<BlockQ8_0>(src, dst, n, elements, decode);
    case DType::kQ2_K:
      return decode_blocks<BlockQ2_K>(src, dst, n, elements, decode);
    case DType::kQ3_K:
      return decode_blocks<BlockQ3_K>(src, dst, n, elements, decode);
    case DType::kQ4_K:
      return decode_blocks<BlockQ4_K>(src, dst, n, elements, decode);
    case DType::kQ5_K:
      return decode_blocks<BlockQ5_K>(src, dst, n, elements, decode);
    case DType::kQ6_K:
      return decode_blocks<BlockQ6_K>(src, dst, n, elements, decode);
    case DType::kIQ4_NL:
      return decode_blocks<BlockIQ4_NL>(src, dst, n, elements, decode);
    case DType::kIQ4_XS:
      return decode_blocks<BlockIQ4_XS>(src, dst, n, elements, decode);
    case DType::kMXFP4:
      return decode_blocks<BlockMXFP4>(src, dst, n, elements, decode);
    default:
      HEADGATE_CHECK(false && "every type is decoded above");
  }
}

void dequantize_fp8_row(const std::byte* src, const float* scales, float* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    dst[i] = fp8_e4m3_to_float(static_cast<uint8_t>(src[i])) * scales[i / 128];
  }
}

}  // namespace headgate
