// The tile instructions of this level, in two builds of one source: the instructions themselves,
// and for tests on machines without them an emulation of what they are documented to do.
// Everything is static: nothing here may become a symbol that other levels could be linked to.
#pragma once

#include <stdint.h>
#if defined(HEADGATE_EMULATED_TILES)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#endif

// Kernels lie in the namespace of their build.
#if defined(HEADGATE_EMULATED_TILES)
#define HEADGATE_AMX amx_emulated
#else
#define HEADGATE_AMX amx
#endif

namespace headgate::HEADGATE_AMX {

constexpr int kTiles = 8;
constexpr int kMostTileRows = 16;
constexpr int kMostTileBytes = 64;  // of a row

// The operand of LDTILECFG.
struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

// Results in tiles 0 to 3 are two by two: 0 1 of `upper` rows over 2 3 of `lower`; 4 and 5 are
// their left operands, 6 and 7 the right ones of 0 2 and 1 3. Zero rows leave tiles out.
static constexpr TileConfig tile_config(int upper, int lower) {
  TileConfig c = {};
  c.palette = 1;
  const int rows[kTiles] = {upper, upper, lower, lower, upper, lower, 16, 16};
  for (int i = 0; i < kTiles; ++i) {
    c.rows[i] = static_cast<uint8_t>(rows[i]);
    c.row_bytes[i] = rows[i] > 0 ? 64 : 0;
  }
  return c;
}

// Eight full tiles. A const object with static storage: g++ 12 may drop the stores to a local one.
alignas(64) static constexpr TileConfig kFullTiles = tile_config(16, 16);

#if !defined(HEADGATE_EMULATED_TILES)

// Written as assembly rather than with the intrinsics of the compilers: those of g++ 12 say neither
// that all 64 bytes of a configuration are read nor that a load reads memory at all, so that stores
// before them may be moved behind them or dropped.
static inline void tile_configure(const TileConfig& config) {
  asm volatile("ldtilecfg %0" : : "m"(config) : "memory");
}
static inline void tile_release() { asm volatile("tilerelease" : : : "memory"); }
template <int T>
static __attribute__((always_inline)) inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
// Rows of the tile lie `stride` bytes apart.
template <int T>
static __attribute__((always_inline)) inline void tile_load(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
}
template <int T>
static __attribute__((always_inline)) inline void tile_store(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
}
// C += A times B: A holds pairs of bf16, row m of pairs k; row k of B holds the pairs of column n.
template <int C, int A, int B>
static __attribute__((always_inline)) inline void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

#else

// What one thread's tiles hold between tile_configure and tile_release of one source file.
struct EmulatedTiles {
  TileConfig config;
  bool configured;
  alignas(64) uint8_t tile[kTiles][kMostTileRows][kMostTileBytes];
};
static thread_local EmulatedTiles emulated_tiles;

// Where the processor would raise an exception.
static inline void emulated_require(bool allowed) {
  if (!allowed) abort();
}

static inline void tile_configure(const TileConfig& config) {
  EmulatedTiles& t = emulated_tiles;
  emulated_require(config.palette == 1 && config.start_row == 0);
  for (int i = 0; i < 14; ++i) emulated_require(config.reserved[i] == 0);
  for (int i = 0; i < 16; ++i) {
    emulated_require(config.rows[i] <= kMostTileRows && config.row_bytes[i] <= kMostTileBytes);
    emulated_require((config.rows[i] == 0) == (config.row_bytes[i] == 0));
    emulated_require(i < kTiles || config.rows[i] == 0);
  }
  t.config = config;
  t.configured = true;
  memset(t.tile, 0, sizeof t.tile);
}

static inline void tile_release() { emulated_tiles.configured = false; }

static inline EmulatedTiles& emulated_tile(int tile) {
  emulated_require(emulated_tiles.configured && emulated_tiles.config.rows[tile] > 0);
  return emulated_tiles;
}

template <int T>
static inline void tile_zero() {
  EmulatedTiles& t = emulated_tile(T);
  memset(t.tile[T], 0, sizeof t.tile[T]);
}

template <int T>
static inline void tile_load(const void* from, int64_t stride) {
  EmulatedTiles& t = emulated_tile(T);
  memset(t.tile[T], 0, sizeof t.tile[T]);
  for (int r = 0; r < t.config.rows[T]; ++r)
    memcpy(t.tile[T][r], static_cast<const char*>(from) + r * stride, t.config.row_bytes[T]);
}

template <int T>
static inline void tile_store(void* to, int64_t stride) {
  const EmulatedTiles& t = emulated_tile(T);
  for (int r = 0; r < t.config.rows[T]; ++r)
    memcpy(static_cast<char*>(to) + r * stride, t.tile[T][r], t.config.row_bytes[T]);
}

// Denormal numbers count as zero on the way in and on the way out.
static inline float emulated_flush(float x) {
  return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x;
}

static inline float emulated_half(const uint8_t* pair, int half) {
  uint16_t bits;
  memcpy(&bits, pair + 2 * half, sizeof bits);
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float x;
  memcpy(&x, &wide, sizeof x);
  return emulated_flush(x);
}

// TDPBF16PS of Intel's manual: fused sums of the first and of the second halves of the pairs by
// themselves, then their sum, then the old result; each rounded to nearest even.
static inline void emulated_multiply(int c, int a, int b) {
  EmulatedTiles& t = emulated_tile(c);
  emulated_tile(a);
  emulated_tile(b);
  emulated_require(c != a && c != b && a != b);
  const int rows = t.config.rows[c], columns = t.config.row_bytes[c] / 4;
  const int pairs = t.config.row_bytes[a] / 4;
  emulated_require(rows == t.config.rows[a] && pairs == t.config.rows[b]);
  emulated_require(t.config.row_bytes[c] == t.config.row_bytes[b] &&
                   t.config.row_bytes[c] % 4 == 0);
  float right[2][kMostTileRows][16];
  for (int k = 0; k < pairs; ++k) {
    for (int n = 0; n < columns; ++n) {
      for (int half = 0; half < 2; ++half)
        right[half][k][n] = emulated_half(t.tile[b][k] + 4 * n, half);
    }
  }
  for (int m = 0; m < rows; ++m) {
    float sum[2][16] = {};
    for (int k = 0; k < pairs; ++k) {
      for (int half = 0; half < 2; ++half) {
        const float left = emulated_half(t.tile[a][m] + 4 * k, half);
        for (int n = 0; n < columns; ++n)
          sum[half][n] = emulated_flush(__builtin_fmaf(left, right[half][k][n], sum[half][n]));
      }
    }
    float old[16];
    memcpy(old, t.tile[c][m], sizeof old);
    for (int n = 0; n < columns; ++n) {
      const float both = emulated_flush(sum[0][n] + sum[1][n]);
      old[n] = emulated_flush(emulated_flush(old[n]) + both);
    }
    memcpy(t.tile[c][m], old, sizeof old);
  }
}

template <int C, int A, int B>
static inline void tile_multiply() {
  emulated_multiply(C, A, B);
}

#endif

}  // namespace headgate::HEADGATE_AMX
