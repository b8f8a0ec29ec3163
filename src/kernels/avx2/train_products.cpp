// Tiles of fp32 products: 4 rows x 16 columns in registers.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx2/train.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

// Rows [row, row + R) of the tile; V vectors of columns, the last one with `left` of them.
template <int R, int V>
void tile(const TileArgs& t, int64_t row, int64_t left) {
  const float* a = static_cast<const float*>(t.a) + row * t.a_row;
  const auto* b = static_cast<const float*>(t.b);
  // The loops over sums are unrolled by pragma: left to the compiler, that happens so late that the
  // sums live on the stack, stored anew in every step, at a quarter of the speed.
  const int64_t a_row = t.a_row, a_step = t.a_step, b_step = t.b_step, c_row = t.c_row;
  const int64_t steps = t.steps;
  const bool add = t.add;
  __m256 sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[r][v] = _mm256_setzero_ps();
  }
  for (int64_t s = 0; s < steps; ++s) {
    __m256 in[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) in[v] = load_some(b + 8 * v, v + 1 == V ? left : 8);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256 x = _mm256_broadcast_ss(a + r * a_row);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] = _mm256_fmadd_ps(x, in[v], sum[r][v]);
    }
    a += a_step;
    b += b_step;
  }
  float* c = t.c + row * c_row;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const int64_t live = v + 1 == V ? left : 8;
      const __m256 before = add ? load_some(c + 8 * v, live) : _mm256_setzero_ps();
      store_some(c + 8 * v, _mm256_add_ps(sum[r][v], before), live);
    }
    c += c_row;
  }
}

template <int V>
void tile_rows(const TileArgs& t, int64_t left) {
  int64_t row = 0;
  for (; row + 4 <= t.rows; row += 4) tile<4, V>(t, row, left);
  for (; row < t.rows; ++row) tile<1, V>(t, row, left);
}

}  // namespace

void tile_f32(const TileArgs& t) {
  if (t.columns > 8) {
    tile_rows<2>(t, t.columns - 8);
  } else {
    tile_rows<1>(t, t.columns);
  }
}

}  // namespace headgate::avx2
