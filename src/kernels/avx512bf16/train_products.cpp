// Tiles of bf16 products: each instruction multiplies pairs of inputs and adds both to fp32 sums.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/train_table.h"

namespace headgate::avx512bf16 {
namespace {

inline __mmask16 live_lanes(int64_t left) {
  return left >= 16 ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
}

template <int R, int V>
void tile(const TileArgs& t, __mmask16 last) {
  const auto* a = static_cast<const int32_t*>(t.a);
  const auto* b = static_cast<const int32_t*>(t.b);
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
    __m512bh in[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) in[v] = (__m512bh)_mm512_maskz_loadu_epi32(mask[v], b + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto x = (__m512bh)_mm512_set1_epi32(a[r * a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], x, in[v]);
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

void tile_bf16(const TileArgs& t) {
  if (t.columns > 16) {
    tile_rows<2>(t, live_lanes(t.columns - 16));
  } else {
    tile_rows<1>(t, live_lanes(t.columns));
  }
}

void pair_rows(uint32_t* dst, int64_t dst_stride, int64_t group_stride, const float* src,
               int64_t stride, int64_t rows, int64_t n) {
  // One conversion gives the low halves of 16 pairs, then the high ones; a permutation joins them.
  const __m512i halves =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (int64_t r = 0; r < rows; r += 2) {
    const float* low = src + r * stride;
    const float* high = r + 1 < rows ? low + stride : low;
    const __mmask16 has_high = r + 1 < rows ? 0xffff : 0;
    for (int64_t i = 0; i < n; i += 16) {
      const __mmask16 live = live_lanes(n - i);
      const __m512 first = _mm512_maskz_loadu_ps(live, low + i);
      const __m512 second = _mm512_maskz_loadu_ps(live & has_high, high + i);
      const auto both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
      _mm512_mask_storeu_epi32(dst + i / 16 * group_stride, live,
                               _mm512_permutexvar_epi16(halves, both));
    }
    dst += dst_stride;
  }
}

void pair_inputs(uint32_t* dst, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 32) {
    const int64_t left = n - i;
    const __m512 low = _mm512_maskz_loadu_ps(live_lanes(left), x + i);
    const __m512 high =
        left > 16 ? _mm512_maskz_loadu_ps(live_lanes(left - 16), x + i + 16) : _mm512_setzero_ps();
    _mm512_mask_storeu_epi32(dst + i / 2, live_lanes((left + 1) / 2),
                             (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
}

}  // namespace

void fill_train(TrainTable& table) {
  table.tile_bf16 = tile_bf16;
  table.pair_rows = pair_rows;
  table.pair_inputs = pair_inputs;
}

}  // namespace headgate::avx512bf16
