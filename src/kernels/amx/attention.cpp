// Softmax sums over a segment of a bf16 cache with tile products: the tiles of the cache are right
// operands as they lie in memory. Queries and weights are rounded to bf16 as on the level below;
// sums stay fp32.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/amx/kernels.h"
#include "kernels/amx/round.h"
#include "kernels/amx/tile.h"
#include "kernels/avx512/attention_core.h"

namespace headgate::HEADGATE_AMX {
namespace {

using avx512::TilePair;

// Rows of scores and of weights in scratch: no multiples of 1024 bytes, which would share a set of
// the first cache.
constexpr int64_t kScoreStride = kKvSegment + 16;
constexpr int64_t kWeightStride = kKvSegment + 32;
static_assert(kAttentionRows * (kScoreStride * 4 + kWeightStride * 2) <= kAttentionScratchBytes);
constexpr int64_t kStepBytes = kKvStep * kKvColumns * 2;  // of a tile of the cache

// The tiles for every number of rows: none reads a row that is not there.
struct RowConfigs {
  TileConfig of[kAttentionRows + 1];
};
constexpr RowConfigs row_configs() {
  RowConfigs c = {};
  for (int rows = 1; rows <= kAttentionRows; ++rows)
    c.of[rows] = tile_config(rows < 16 ? rows : 16, rows < 16 ? 0 : rows - 16);
  return c;
}
alignas(64) constexpr RowConfigs kRowConfigs = row_configs();

// y[r][0..31] = row r of x, 32 * steps values, times the tiles; with kLower more than 16 rows.
template <bool kLower>
void multiply(const uint16_t* x, int64_t x_stride, const TilePair& b, int64_t steps, float* y,
              int64_t y_stride) {
  const char *left = b.tile[0], *right = b.tile[1];
  const auto* lower =
      reinterpret_cast<const uint16_t*>(reinterpret_cast<const char*>(x) + 16 * x_stride);
  const bool ahead = b.ahead[0] != nullptr;
  tile_zero<0>();
  tile_zero<1>();
  if (kLower) tile_zero<2>();
  if (kLower) tile_zero<3>();
  for (int64_t s = 0; s < steps; ++s) {
    tile_load<4>(x + s * kKvStep, x_stride);
    tile_load<6>(left + s * kStepBytes, 64);
    tile_multiply<0, 4, 6>();
    tile_load<7>(right + s * kStepBytes, 64);
    tile_multiply<1, 4, 7>();
    if (kLower) {
      tile_load<5>(lower + s * kKvStep, x_stride);
      tile_multiply<2, 5, 6>();
      tile_multiply<3, 5, 7>();
    }
    if (ahead) {
      for (int64_t line = 0; line < 16; ++line) avx512::fetch(b, s * kStepBytes + 64 * line);
    }
  }
  tile_store<0>(y, y_stride);
  tile_store<1>(y + 16, y_stride);
  if (kLower) {
    float* below = y + 16 * y_stride / 4;
    tile_store<2>(below, y_stride);
    tile_store<3>(below + 16, y_stride);
  }
}

template <bool kLower>
void attend(const AttentionArgs& a) {
  auto* score = static_cast<float*>(a.scratch);
  auto* weight = reinterpret_cast<uint16_t*>(score + kAttentionRows * kScoreStride);
  for (int64_t t = 0; t < a.tokens; t += kKvStep) {
    multiply<kLower>(static_cast<const uint16_t*>(a.queries), packed_query_bytes(a.dims),
                     avx512::key_pair(a, t), a.dims / kKvStep, score + t, kScoreStride * 4);
  }
  for (int64_t r = 0; r < a.rows; ++r) {
    uint16_t* row = weight + r * kWeightStride;
    // The sum takes the rounded weights, so that those in use add up to one.
    avx512::soften(a, r, score + r * kScoreStride, [row](int64_t t, __m512 p) {
      const __m512i h = round_even(p);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + t), _mm512_cvtepi32_epi16(h));
      return _mm512_castsi512_ps(_mm512_slli_epi32(h, 16));
    });
  }
  const int64_t steps = (a.tokens + kKvStep - 1) / kKvStep;
  for (int64_t d = 0; d < a.dims; d += kKvStep) {
    multiply<kLower>(weight, kWeightStride * 2, avx512::value_pair(a, d), steps, a.out + d,
                     a.dims * 4);
  }
}

}  // namespace

void pack_query_bf16(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<uint16_t*>(dst);
  const __m512 by = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < dims; i += 16) {
    const __m512 x = _mm512_maskz_loadu_ps(avx512::first_lanes(n - i), q + i);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), round_row(_mm512_mul_ps(x, by)));
  }
}

void attention_bf16(const AttentionArgs& args) {
  tile_configure(kRowConfigs.of[args.rows]);
  if (args.rows > 16) {
    attend<true>(args);
  } else {
    attend<false>(args);
  }
  tile_release();
}

}  // namespace headgate::HEADGATE_AMX
