// Encoders of the blocks of 256.
#include "tensor/quantize_affine.h"
#include "tensor/quantize_blocks.h"
#include "tensor/quantize_search.h"

namespace headgate {
namespace {

// The code nearest to (x + minimum) / scale.
int affine_code(float x, AffineFit fit, float inverse, float top) {
  return static_cast<int>(round_to_integer(clamp_level((x + fit.minimum) * inverse, 0.0f, top)));
}

// Codes of all 256 elements of an affine block with sub-blocks of N.
template <int N, int kBlocks>
void affine_codes(const float* x, const AffineBlockFit<kBlocks>& fit, int top, uint8_t* q) {
  for (int b = 0; b < kBlocks; ++b) {
    const AffineFit at = fit.at(b);
    const float inverse = at.scale > 0.0f ? 1.0f / at.scale : 0.0f;
    for (int i = 0; i < N; ++i) {
      q[b * N + i] =
          static_cast<uint8_t>(affine_code(x[b * N + i], at, inverse, static_cast<float>(top)));
    }
  }
}

// Levels of all 256 elements, shifted to start at zero.
template <typename Grid, int N, int kBlocks>
void scaled_codes(const float* x, const ScaledFit<kBlocks>& fit, int shift, uint8_t* q) {
  for (int b = 0; b < kBlocks; ++b) {
    const float scale = fit.d * static_cast<float>(fit.scales[static_cast<size_t>(b)]);
    const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    for (int i = 0; i < N; ++i) {
      q[b * N + i] =
          static_cast<uint8_t>(static_cast<int>(Grid::nearest(x[b * N + i] * inverse)) + shift);
    }
  }
}

// Two-bit codes of 256 elements in the order of Q2_K and Q3_K.
void pack_two_bits(const uint8_t* q, uint8_t* qs) {
  for (int n = 0; n < 2; ++n) {
    for (int l = 0; l < 32; ++l) {
      const uint8_t* e = q + 128 * n + l;
      qs[32 * n + l] =
          static_cast<uint8_t>((e[0] & 3) | (e[32] & 3) << 2 | (e[64] & 3) << 4 | (e[96] & 3) << 6);
    }
  }
}

// Nibbles of 256 elements in the order of Q4_K and Q5_K.
void pack_four_bits(const uint8_t* q, uint8_t* qs) {
  for (int j = 0; j < 4; ++j) {
    for (int l = 0; l < 32; ++l) {
      const uint8_t* e = q + 64 * j + l;
      qs[32 * j + l] = static_cast<uint8_t>((e[0] & 15) | (e[32] & 15) << 4);
    }
  }
}

// The inverse of load_scale_min for all eight sub-blocks.
void pack_scale_min(const AffineBlockFit<8>& fit, uint8_t* out) {
  for (size_t s = 0; s < 4; ++s) {
    const int high_scale = fit.scales[s + 4], high_min = fit.minimums[s + 4];
    out[s] = static_cast<uint8_t>(fit.scales[s] | (high_scale >> 4) << 6);
    out[s + 4] = static_cast<uint8_t>(fit.minimums[s] | (high_min >> 4) << 6);
    out[s + 8] = static_cast<uint8_t>((high_scale & 15) | (high_min & 15) << 4);
  }
}

}  // namespace

void encode(const float* x, const float* w, BlockQ2_K& b) {
  const AffineBlockFit<16> fit = fit_affine_block<16, 16>(x, w, 15, 3);
  uint8_t q[256];
  affine_codes<16>(x, fit, 3, q);
  for (size_t s = 0; s < 16; ++s) {
    b.scales[s] = static_cast<uint8_t>(fit.scales[s] | fit.minimums[s] << 4);
  }
  pack_two_bits(q, b.qs);
  store_half(b.d, fit.d);
  store_half(b.dmin, fit.dmin);
}

void encode(const float* x, const float* w, BlockQ3_K& b) {
  using Grid = IntegerGrid<-4, 3>;
  const ScaledFit<16> fit = fit_scaled<Grid, 16, 16, -32, 31>(x, w);
  uint8_t q[256];
  scaled_codes<Grid, 16>(x, fit, 4, q);
  pack_two_bits(q, b.qs);
  for (int l = 0; l < 32; ++l) {
    int mask = 0;
    for (int j = 0; j < 8; ++j) mask |= (q[32 * j + l] >> 2) << j;
    b.hmask[l] = static_cast<uint8_t>(mask);
  }
  std::fill(b.scales, b.scales + 12, uint8_t{0});
  for (int s = 0; s < 16; ++s) {
    const int stored = fit.scales[static_cast<size_t>(s)] + 32;
    b.scales[s % 8] = static_cast<uint8_t>(b.scales[s % 8] | (stored & 15) << (s < 8 ? 0 : 4));
    uint8_t& high = b.scales[8 + s % 4];
    high = static_cast<uint8_t>(high | (stored >> 4) << (2 * (s / 4)));
  }
  store_half(b.d, fit.d);
}

void encode(const float* x, const float* w, BlockQ4_K& b) {
  const AffineBlockFit<8> fit = fit_affine_block<32, 8>(x, w, 63, 15);
  uint8_t q[256];
  affine_codes<32>(x, fit, 15, q);
  pack_scale_min(fit, b.scales);
  pack_four_bits(q, b.qs);
  store_half(b.d, fit.d);
  store_half(b.dmin, fit.dmin);
}

void encode(const float* x, const float* w, BlockQ5_K& b) {
  const AffineBlockFit<8> fit = fit_affine_block<32, 8>(x, w, 63, 31);
  uint8_t q[256];
  affine_codes<32>(x, fit, 31, q);
  pack_scale_min(fit, b.scales);
  pack_four_bits(q, b.qs);
  for (int l = 0; l < 32; ++l) {
    int bits = 0;
    for (int s = 0; s < 8; ++s) bits |= (q[32 * s + l] >> 4) << s;
    b.qh[l] = static_cast<uint8_t>(bits);
  }
  store_half(b.d, fit.d);
  store_half(b.dmin, fit.dmin);
}

void encode(const float* x, const float* w, BlockQ6_K& b) {
  using Grid = IntegerGrid<-32, 31>;
  const ScaledFit<16> fit = fit_scaled<Grid, 16, 16, -128, 127>(x, w);
  uint8_t q[256];
  scaled_codes<Grid, 16>(x, fit, 32, q);
  for (int n = 0; n < 2; ++n) {
    for (int l = 0; l < 32; ++l) {
      const uint8_t* e = q + 128 * n + l;
      b.ql[64 * n + l] = static_cast<uint8_t>((e[0] & 15) | (e[64] & 15) << 4);
      b.ql[64 * n + 32 + l] = static_cast<uint8_t>((e[32] & 15) | (e[96] & 15) << 4);
      b.qh[32 * n + l] = static_cast<uint8_t>((e[0] >> 4) | (e[32] >> 4) << 2 | (e[64] >> 4) << 4 |
                                              (e[96] >> 4) << 6);
    }
  }
  for (size_t s = 0; s < 16; ++s) b.scales[s] = static_cast<int8_t>(fit.scales[s]);
  store_half(b.d, fit.d);
}

void encode(const float* x, const float* w, BlockIQ4_XS& b) {
  const ScaledFit<8> fit = fit_scaled<CodebookGrid, 32, 8, -32, 31>(x, w);
  int high = 0;
  std::fill(b.scales_low, b.scales_low + 4, uint8_t{0});
  for (int s = 0; s < 8; ++s) {
    const int integer = fit.scales[static_cast<size_t>(s)];
    const int stored = integer + 32;
    b.scales_low[s / 2] =
        static_cast<uint8_t>(b.scales_low[s / 2] | (stored & 15) << (4 * (s % 2)));
    high |= (stored >> 4) << (2 * s);
    const float scale = fit.d * static_cast<float>(integer);
    const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    for (int i = 0; i < 16; ++i) {
      const int low_code = nearest_codebook_index(x[32 * s + i] * inverse);
      const int high_code = nearest_codebook_index(x[32 * s + i + 16] * inverse);
      b.qs[16 * s + i] = static_cast<uint8_t>(low_code | high_code << 4);
    }
  }
  store_u16(b.scales_high, static_cast<uint16_t>(high));
  store_half(b.d, fit.d);
}

}  // namespace headgate
