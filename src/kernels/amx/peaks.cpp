// Loops of tile products: two by two tiles of results, as the matrix kernels use them.
#include "kernels/peaks.h"

#include <immintrin.h>

namespace headgate::amx {
namespace {

struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

// Eight full tiles. A const object with static storage: g++ 12 takes the load of the configuration
// for a read of one byte and drops the stores of the rest of a local one.
alignas(64) constexpr TileConfig kFull = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
alignas(64) constexpr uint8_t kOperand[1024] = {};

void load_tiles() {
  _tile_loadconfig(&kFull);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, kOperand, 64);
  _tile_loadd(5, kOperand, 64);
  _tile_loadd(6, kOperand, 64);
  _tile_loadd(7, kOperand, 64);
}

float store_tiles() {
  alignas(64) float out[256];
  _tile_stored(0, out, 64);
  _tile_release();
  return out[0];
}

}  // namespace

float peak_bf16(int64_t rounds) {
  load_tiles();
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return store_tiles();
}

float peak_int8(int64_t rounds) {
  load_tiles();
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  return store_tiles();
}

}  // namespace headgate::amx
