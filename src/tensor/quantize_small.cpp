// Encoders of the blocks of 32.
#include <cmath>

#include "tensor/quantize_affine.h"
#include "tensor/quantize_blocks.h"
#include "tensor/quantize_search.h"

namespace headgate {
namespace {

// Codes 0..15 or 0..31 of 32 elements into nibbles and, for five bits, a mask of high bits.
void pack_nibbles(const int* q, uint8_t* qs) {
  for (int i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
}

void pack_high_bits(const int* q, uint8_t* qh) {
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(q[i] >> 4) << i;
  store_u32(qh, bits);
}

float inverse_or_zero(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

// Truncation after adding one half, as the closed-form rules have it; out-of-range values saturate.
int truncate_code(float v, int top) {
  return static_cast<int>(clamp_level(v, 0.0f, static_cast<float>(top) + 0.5f));
}

// x ~ d * (q - half): the value of largest magnitude maps to -half.
template <int kHalf>
float encode_symmetric(const float* x, const float* w, int* q) {
  if (w == nullptr) {
    const float d = peak_value(x, 32) / static_cast<float>(-kHalf);
    const float inverse = inverse_or_zero(d);
    for (int i = 0; i < 32; ++i) {
      q[i] = truncate_code(x[i] * inverse + (static_cast<float>(kHalf) + 0.5f), 2 * kHalf - 1);
    }
    return d;
  }
  using Grid = IntegerGrid<-kHalf, kHalf - 1>;
  const float d = nearest_half(fit_scale<Grid, 32>(x, w));
  const float inverse = inverse_or_zero(d);
  for (int i = 0; i < 32; ++i) q[i] = static_cast<int>(Grid::nearest(x[i] * inverse)) + kHalf;
  return d;
}

// x ~ d * q + m.
AffineFit encode_affine(const float* x, const float* w, int top, int* q) {
  if (w == nullptr) {
    float low = x[0], high = x[0];
    for (int i = 1; i < 32; ++i) {
      low = std::min(low, x[i]);
      high = std::max(high, x[i]);
    }
    const float d = (high - low) / static_cast<float>(top);
    const float inverse = inverse_or_zero(d);
    for (int i = 0; i < 32; ++i) q[i] = truncate_code((x[i] - low) * inverse + 0.5f, top);
    return {d, -low};
  }
  AffineFit fit = fit_affine<32>(x, w, top, /*signed_minimum=*/true);
  fit = {nearest_half(fit.scale), nearest_half(fit.minimum)};
  const float inverse = inverse_or_zero(fit.scale);
  for (int i = 0; i < 32; ++i) {
    q[i] = truncate_code((x[i] + fit.minimum) * inverse + 0.5f, top);
  }
  return fit;
}

float mxfp4_error(const float* x, const float* w, float d, int* q) {
  float error = 0.0f;
  for (int i = 0; i < 32; ++i) {
    float best = std::numeric_limits<float>::infinity();
    for (int code = 0; code < 16; ++code) {
      const float rest =
          std::fabs(d * static_cast<float>(kTwiceE2M1[static_cast<size_t>(code)]) - x[i]);
      if (rest < best) {
        best = rest;
        q[i] = code;
      }
    }
    error += (w != nullptr ? w[i] : 1.0f) * best * best;
  }
  return error;
}

}  // namespace

void encode(const float* x, const float* w, BlockQ4_0& b) {
  int q[32];
  store_half(b.d, encode_symmetric<8>(x, w, q));
  pack_nibbles(q, b.qs);
}

void encode(const float* x, const float* w, BlockQ5_0& b) {
  int q[32];
  store_half(b.d, encode_symmetric<16>(x, w, q));
  pack_nibbles(q, b.qs);
  pack_high_bits(q, b.qh);
}

void encode(const float* x, const float* w, BlockQ4_1& b) {
  int q[32];
  const AffineFit fit = encode_affine(x, w, 15, q);
  store_half(b.d, fit.scale);
  store_half(b.m, -fit.minimum);
  pack_nibbles(q, b.qs);
}

void encode(const float* x, const float* w, BlockQ5_1& b) {
  int q[32];
  const AffineFit fit = encode_affine(x, w, 31, q);
  store_half(b.d, fit.scale);
  store_half(b.m, -fit.minimum);
  pack_nibbles(q, b.qs);
  pack_high_bits(q, b.qh);
}

// Eight bits are precise enough that weights change nothing worth a search.
void encode(const float* x, const float* /*w*/, BlockQ8_0& b) {
  const float d = std::fabs(peak_value(x, 32)) / 127.0f;
  const float inverse = inverse_or_zero(d);
  store_half(b.d, d);
  for (int i = 0; i < 32; ++i) {
    b.qs[i] = static_cast<int8_t>(clamp_level(std::round(x[i] * inverse), -127.0f, 127.0f));
  }
}

void encode(const float* x, const float* w, BlockMXFP4& b) {
  const float peak = std::fabs(peak_value(x, 32));
  // The peak lands in [4, 8) of a grid that ends at 6.
  const int rule = peak > 0.0f ? std::clamp(std::ilogb(peak) - 2 + 127, 0, 254) : 0;
  int q[32], candidate[32];
  float best = std::numeric_limits<float>::infinity();
  for (int e = rule; e <= std::min(rule + (w != nullptr ? 1 : 0), 254); ++e) {
    const float error = mxfp4_error(x, w, mxfp4_scale(static_cast<uint8_t>(e)), candidate);
    if (error < best) {
      best = error;
      b.e = static_cast<uint8_t>(e);
      std::copy(candidate, candidate + 32, q);
    }
  }
  pack_nibbles(q, b.qs);
}

void encode(const float* x, const float* w, BlockIQ4_NL& b) {
  const float d = nearest_half(fit_scale<CodebookGrid, 32>(x, w));
  const float inverse = inverse_or_zero(d);
  int q[32];
  for (int i = 0; i < 32; ++i) q[i] = nearest_codebook_index(x[i] * inverse);
  store_half(b.d, d);
  pack_nibbles(q, b.qs);
}

}  // namespace headgate
