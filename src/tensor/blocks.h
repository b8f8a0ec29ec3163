// Byte layouts of the quantisation blocks, and the small tables and bit tricks they share.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "tensor/half.h"

namespace headgate {

// Every field is bytes, so a block may start at any address and is little-endian on every machine.
// Nibbles: byte i of a 16-byte group holds element i in its low and element i + 16 in its high
// half.
struct BlockQ4_0 {  // d * (q - 8)
  uint8_t d[2], qs[16];
};
struct BlockQ4_1 {  // d * q + m
  uint8_t d[2], m[2], qs[16];
};
struct BlockQ5_0 {  // d * (q - 16); bit i of qh is the fifth bit of element i
  uint8_t d[2], qh[4], qs[16];
};
struct BlockQ5_1 {  // d * q + m
  uint8_t d[2], m[2], qh[4], qs[16];
};
struct BlockQ8_0 {  // d * q
  uint8_t d[2];
  int8_t qs[32];
};
struct BlockIQ4_NL {  // d * kCodebook[q]
  uint8_t d[2], qs[16];
};
struct BlockMXFP4 {  // 2^(e - 128) * kTwiceE2M1[q]
  uint8_t e, qs[16];
};

// Blocks of 256 have sub-blocks of 16 or 32 elements with small integer scales. Two-bit codes:
// element 128 n + 32 j + l is bits 2j, 2j + 1 of byte 32 n + l.
struct BlockQ2_K {  // d * (scales & 15) * q - dmin * (scales >> 4), 16 sub-blocks
  uint8_t scales[16], qs[64], d[2], dmin[2];
};
struct BlockQ3_K {  // d * (s - 32) * (q - (hmask bit ? 0 : 4)), 16 sub-blocks
  uint8_t hmask[32], qs[64], scales[12], d[2];
};
struct BlockQ4_K {  // d * s * q - dmin * m, 8 sub-blocks
  uint8_t d[2], dmin[2], scales[12], qs[128];
};
struct BlockQ5_K {  // as Q4_K; bit s of qh[l] is the fifth bit of element l of sub-block s
  uint8_t d[2], dmin[2], scales[12], qh[32], qs[128];
};
struct BlockQ6_K {  // d * scales * (q - 32), 16 sub-blocks
  uint8_t ql[128], qh[64];
  int8_t scales[16];
  uint8_t d[2];
};
struct BlockIQ4_XS {  // d * (s - 32) * kCodebook[q], 8 sub-blocks
  uint8_t d[2], scales_high[2], scales_low[4], qs[128];
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockMXFP4) == 17 && sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110);
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_XS) == 136);

// The values of IQ4_NL and IQ4_XS codes.
inline constexpr std::array<int8_t, 16> kCodebook = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                     1,    13,   25,  38,  53,  69,  89,  113};
// The values of MXFP4 (E2M1) codes, doubled to be integers.
inline constexpr std::array<int8_t, 16> kTwiceE2M1 = {0, 1,  2,  3,  4,  6,  8,  12,
                                                      0, -1, -2, -3, -4, -6, -8, -12};

inline uint16_t load_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | (p[1] << 8)); }
inline uint32_t load_u32(const uint8_t* p) {
  return static_cast<uint32_t>(load_u16(p)) | (static_cast<uint32_t>(load_u16(p + 2)) << 16);
}
inline float load_half(const uint8_t* p) { return fp16_to_float(load_u16(p)); }
inline void store_u16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v);
  p[1] = static_cast<uint8_t>(v >> 8);
}
inline void store_u32(uint8_t* p, uint32_t v) {
  store_u16(p, static_cast<uint16_t>(v));
  store_u16(p + 2, static_cast<uint16_t>(v >> 16));
}
inline void store_half(uint8_t* p, float v) { store_u16(p, float_to_fp16(v)); }

// The scale of MXFP4 blocks, half of 2^(e - 127) since the code table is doubled.
inline float mxfp4_scale(uint8_t e) {
  // Below e = 2 the value is subnormal.
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (static_cast<uint32_t>(e) - 1u) << 23);
}

// Six-bit scale and minimum of sub-block s = 0..7 of Q4_K and Q5_K.
inline void load_scale_min(const uint8_t* scales, int s, int* scale, int* minimum) {
  if (s < 4) {
    *scale = scales[s] & 63;
    *minimum = scales[s + 4] & 63;
  } else {
    *scale = (scales[s + 4] & 15) | ((scales[s - 4] >> 6) << 4);
    *minimum = (scales[s + 4] >> 4) | ((scales[s] >> 6) << 4);
  }
}

// The six-bit scale (0..63, value minus 32) of sub-block s = 0..15 of Q3_K.
inline int load_q3_scale(const uint8_t* scales, int s) {
  const int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
  return low | (((scales[8 + s % 4] >> (2 * (s / 4))) & 3) << 4);
}

// The six-bit scale (0..63, value minus 32) of sub-block s = 0..7 of IQ4_XS.
inline int load_iq4_scale(const BlockIQ4_XS& b, int s) {
  const int low = (b.scales_low[s / 2] >> (4 * (s % 2))) & 15;
  return low | (((load_u16(b.scales_high) >> (2 * s)) & 3) << 4);
}

}  // namespace headgate
