// Tiles of fp32 products and the packing of their inputs: 8 rows x 32 columns in registers.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/train.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

template <int R, int V>
void tile(const TileArgs& t, __mmask16 last) {
  const auto* a = static_cast<const float*>(t.a);
  const auto* b = static_cast<const float*>(t.b);
  const __mmask16 mask[2] = {V == 1 ? last : static_cast<__mmask16>(0xffff), last};
  // The loops over sums are unrolled by pragma: left to the compiler, that happens so late that the
  // sums live on the stack, stored anew in every step, at a quarter of the speed.
  const int64_t a_row = t.a_row, a_step = t.a_step, b_step = t.b_step, c_row = t.c_row;
  const int64_t steps = t.steps;
  float* c = t.c;
  // What is written at the end is fetched while the sums are made.
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) _mm_prefetch(c + r * c_row + 16 * v, _MM_HINT_T0);
  }
  __m512 sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[r][v] = _mm512_setzero_ps();
  }
  for (int64_t s = 0; s < steps; ++s) {
    __m512 in[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) in[v] = _mm512_maskz_loadu_ps(mask[v], b + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 x = _mm512_set1_ps(a[r * a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] = _mm512_fmadd_ps(x, in[v], sum[r][v]);
    }
    a += a_step;
    b += b_step;
  }
  if (t.add) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const __m512 before = _mm512_maskz_loadu_ps(mask[v], c + r * c_row + 16 * v);
        sum[r][v] = _mm512_add_ps(sum[r][v], before);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      _mm512_mask_storeu_ps(c + r * c_row + 16 * v, mask[v], sum[r][v]);
    }
  }
}

template <int V>
void tile_rows(const TileArgs& t, __mmask16 last) {
  switch (t.rows) {
    case 1:
      tile<1, V>(t, last);
      return;
    case 2:
      tile<2, V>(t, last);
      return;
    case 3:
      tile<3, V>(t, last);
      return;
    case 4:
      tile<4, V>(t, last);
      return;
    case 5:
      tile<5, V>(t, last);
      return;
    case 6:
      tile<6, V>(t, last);
      return;
    case 7:
      tile<7, V>(t, last);
      return;
    default:
      tile<8, V>(t, last);
      return;
  }
}

// Transposes 16 x 16 words held in registers.
__attribute__((always_inline)) inline void transpose_block(__m512i* r) {
  __m512i s[16];
  for (int i = 0; i < 16; i += 2) {
    s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    s[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    s[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    s[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    s[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(s[i], s[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(s[i], s[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0xdd);
  }
}

}  // namespace

void tile_f32(const TileArgs& t) {
  if (t.columns > 16) {
    tile_rows<2>(t, live_lanes(t.columns - 16));
  } else {
    tile_rows<1>(t, live_lanes(t.columns));
  }
}

void transpose(uint32_t* dst, int64_t dst_stride, const uint32_t* src, int64_t src_stride,
               int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; row += 16) {
    const __mmask16 live = live_lanes(rows - row);
    for (int64_t column = 0; column < columns; column += 16) {
      const __mmask16 wide = live_lanes(columns - column);
      __m512i block[16];
      for (int i = 0; i < 16; ++i) {
        block[i] = row + i < rows
                       ? _mm512_maskz_loadu_epi32(wide, src + (row + i) * src_stride + column)
                       : _mm512_setzero_si512();
      }
      transpose_block(block);
      for (int i = 0; i < 16 && column + i < columns; ++i) {
        _mm512_mask_storeu_epi32(dst + (column + i) * dst_stride + row, live, block[i]);
      }
    }
  }
}

}  // namespace headgate::avx512
