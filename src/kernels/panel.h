// The packed weight layout "P16" and the quantised activations that are multiplied with it.
#pragma once

#include <stdint.h>

namespace headgate {

// A panel holds 16 outputs (rows of the weight matrix); its blocks of 256 inputs follow each other,
// and the panels of a matrix follow each other. Inside a block a line of 64 bytes holds 16 outputs
// x 4 inputs ([n][j], byte 4n + j), so that one instruction multiplies it with 4 activations
// broadcast to all outputs. The layout is a permutation of the stored bits: packing loses nothing.
// Groups are 32 inputs. In four-bit planes the low nibbles of line i of group g are inputs
// 32g + 4i + j, the high nibbles inputs 32g + 16 + 4i + j.
enum PanelFormat {
  kPanelQ4K,
  kPanelQ5K,
  kPanelQ6K,
  kPanelQ80,
  kPanelQ40,
  kPanelIQ4NL,
  kPanelIQ4XS,
  kPanelMXFP4,
  kPanelFormats
};

constexpr int64_t kPanelRows = 16;
constexpr int64_t kBlockInputs = 256;
constexpr int64_t kBlockGroups = 8;
constexpr int64_t kGroupInputs = 32;

// w = d * scale * code - dmin * min, codes 0..15.
struct PanelQ4K {
  uint8_t code[8][4][64];
  uint8_t scale[8][16];  // [group][n], 6 bits used
  uint8_t min[8][16];
  uint16_t d[16];  // fp16
  uint16_t dmin[16];
};

// As Q4K with codes 0..31; the fifth bit of input 4i + j (half 0) or 16 + 4i + j (half 1) of row n
// is bit 4n + j of the 64-bit little-endian word high[g][half][i].
struct PanelQ5K {
  uint8_t code[8][4][64];
  uint8_t high[8][2][4][8];
  uint8_t scale[8][16];
  uint8_t min[8][16];
  uint16_t d[16];
  uint16_t dmin[16];
};

// w = d * scale * (code - 32), codes 0..63, one scale per 16 inputs ([2g + half][n]). Bits 4 and 5
// of line i are bits 2i and 2i + 1 of high[g][half].
struct PanelQ6K {
  uint8_t code[8][4][64];
  uint8_t high[8][2][64];
  int8_t scale[16][16];
  uint16_t d[16];
  uint8_t padding[32];  // keeps blocks on cache lines
};

// w = d * (code - 128); line i of group g holds inputs 32g + 4i + j.
struct PanelQ80 {
  uint8_t code[8][8][64];
  uint16_t d[8][16];
};

// w = d * (code - 8).
struct PanelQ40 {
  uint8_t code[8][4][64];
  uint16_t d[8][16];
};

// w = d * kCodebook[code] (tensor/blocks.h).
struct PanelIQ4NL {
  uint8_t code[8][4][64];
  uint16_t d[8][16];
};

// w = d * scale * kCodebook[code].
struct PanelIQ4XS {
  uint8_t code[8][4][64];
  int8_t scale[8][16];  // -32..31
  uint16_t d[16];
  uint8_t padding[32];
};

// w = 2^(exponent - 128) * kTwiceE2M1[code].
struct PanelMXFP4 {
  uint8_t code[8][4][64];
  uint8_t exponent[8][16];
};

static_assert(sizeof(PanelIQ4NL) == 2304 && sizeof(PanelIQ4XS) == 2240 &&
              sizeof(PanelMXFP4) == 2176);
static_assert(sizeof(PanelQ4K) == 2368 && sizeof(PanelQ5K) == 2880 && sizeof(PanelQ6K) == 3392 &&
              sizeof(PanelQ80) == 4352 && sizeof(PanelQ40) == 2304);

// 256 activations of one row: x ~ scale * code with one scale per 32.
struct ActivationBlock {
  int8_t code[256];
  float scale[8];
  float sum[8];      // scale * (sum of the group's codes)
  int32_t half[16];  // sums of the codes of 16 inputs
};

}  // namespace headgate
