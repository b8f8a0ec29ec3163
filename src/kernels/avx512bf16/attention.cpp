// Softmax sums over a segment of a bf16 cache with bf16 dot products: queries and weights are
// rounded to bf16 as the cache is, sums stay fp32. Twice the products of fp32 a cycle on Zen 5.
#include "kernels/avx512/attention_core.h"
#include "kernels/avx512bf16/kernels.h"

namespace headgate::avx512bf16 {
namespace {

using avx512::TilePair;

template <int R>
__attribute__((always_inline)) inline void add_line(const uint16_t* x, int64_t x_stride,
                                                    const TilePair& b, int64_t line,
                                                    __m512 (&sum)[R][2]) {
  const auto u = (__m512bh)_mm512_loadu_si512(b.tile[0] + line * 64);
  const auto v = (__m512bh)_mm512_loadu_si512(b.tile[1] + line * 64);
  for (int r = 0; r < R; ++r) {
    const auto pair = (__m512bh)avx512::spread4(x + r * x_stride + 2 * line);
    sum[r][0] = _mm512_dpbf16_ps(sum[r][0], pair, u);
    sum[r][1] = _mm512_dpbf16_ps(sum[r][1], pair, v);
  }
}

// y[r][0..31] = row r of x times the tiles.
template <int R>
void multiply(const uint16_t* x, int64_t x_stride, const TilePair& b, int64_t lines, bool ahead,
              float* y, int64_t y_stride) {
  __m512 sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  if (ahead) {
    for (int64_t line = 0; line < lines; ++line) {
      avx512::fetch(b, line * 64);
      add_line<R>(x, x_stride, b, line, sum);
    }
  } else {
    for (int64_t line = 0; line < lines; ++line) add_line<R>(x, x_stride, b, line, sum);
  }
  for (int r = 0; r < R; ++r) {
    _mm512_storeu_ps(y + r * y_stride, sum[r][0]);
    _mm512_storeu_ps(y + r * y_stride + 16, sum[r][1]);
  }
}

void multiply_rows(int64_t rows, const uint16_t* x, int64_t x_stride, const TilePair& b,
                   int64_t lines, float* y, int64_t y_stride) {
  bool ahead = b.ahead[0] != nullptr;
  int64_t r = 0;
  for (; r + 8 <= rows; r += 8) {
    multiply<8>(x + r * x_stride, x_stride, b, lines, ahead, y + r * y_stride, y_stride);
    ahead = false;
  }
  if (rows - r >= 4) {
    multiply<4>(x + r * x_stride, x_stride, b, lines, ahead, y + r * y_stride, y_stride);
    ahead = false;
    r += 4;
  }
  if (rows - r >= 2) {
    multiply<2>(x + r * x_stride, x_stride, b, lines, ahead, y + r * y_stride, y_stride);
    ahead = false;
    r += 2;
  }
  if (rows > r)
    multiply<1>(x + r * x_stride, x_stride, b, lines, ahead, y + r * y_stride, y_stride);
}

// y[r][0..15] = row r of x times one tile; the bits of multiply().
template <int R>
void multiply_tile(const uint16_t* x, int64_t x_stride, const char* tile, const char* ahead,
                   int64_t lines, float* y, int64_t y_stride) {
  __m512 sum[R];
  for (int r = 0; r < R; ++r) sum[r] = _mm512_setzero_ps();
  for (int64_t line = 0; line < lines; ++line) {
    if (ahead != nullptr) _mm_prefetch(ahead + line * 64, _MM_HINT_T0);
    const auto u = (__m512bh)_mm512_loadu_si512(tile + line * 64);
    for (int r = 0; r < R; ++r) {
      const auto pair = (__m512bh)avx512::spread4(x + r * x_stride + 2 * line);
      sum[r] = _mm512_dpbf16_ps(sum[r], pair, u);
    }
  }
  for (int r = 0; r < R; ++r) _mm512_storeu_ps(y + r * y_stride, sum[r]);
}

void multiply_tile_rows(int64_t rows, const uint16_t* x, int64_t x_stride, const char* tile,
                        const char* ahead, int64_t lines, float* y, int64_t y_stride) {
  avx512::by_rows<8>(rows, [&](auto n, int64_t r) {
    multiply_tile<decltype(n)::count>(x + r * x_stride, x_stride, tile, r == 0 ? ahead : nullptr,
                                      lines, y + r * y_stride, y_stride);
  });
}

}  // namespace

void pack_query_bf16(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<uint16_t*>(dst);
  const __m512 by = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < dims; i += 16) {
    const __m512 x = _mm512_maskz_loadu_ps(avx512::first_lanes(n - i), q + i);
    const auto h = (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(x, by));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), h);
  }
}

void attention_bf16(const AttentionArgs& a) {
  auto* score = static_cast<float*>(a.scratch);
  auto* weight = reinterpret_cast<uint16_t*>(score + kAttentionRows * kKvSegment);
  const auto* q = static_cast<const uint16_t*>(a.queries);
  const int64_t q_stride = packed_query_bytes(a.dims) / 2;
  const bool few = a.rows <= avx512::kStreamRows;
  for (int64_t t = 0; few && t < a.tokens; t += kKvColumns) {
    const char* tile = avx512::key_tile(a, t);
    multiply_tile_rows(a.rows, q, q_stride, tile, avx512::stream_ahead(a, tile), a.dims / 2,
                       score + t, kKvSegment);
  }
  for (int64_t t = 0; !few && t < a.tokens; t += kKvStep)
    multiply_rows(a.rows, q, q_stride, avx512::key_pair(a, t), a.dims / 2, score + t, kKvSegment);
  for (int64_t r = 0; r < a.rows; ++r) {
    uint16_t* row = weight + r * kKvSegment;
    // The sum takes the rounded weights, so that those in use add up to one.
    avx512::soften(a, r, score + r * kKvSegment, [row](int64_t t, __m512 p) {
      const auto h = (__m256i)_mm512_cvtneps_pbh(p);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + t), h);
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
    });
  }
  for (int64_t d = 0; few && d < a.dims; d += kKvColumns) {
    const char* tile = avx512::value_tile(a, d);
    multiply_tile_rows(a.rows, weight, kKvSegment, tile, avx512::stream_ahead(a, tile),
                       (a.tokens + 1) / 2, a.out + d, a.dims);
  }
  for (int64_t d = 0; !few && d < a.dims; d += kKvStep)
    multiply_rows(a.rows, weight, kKvSegment, avx512::value_pair(a, d), (a.tokens + 1) / 2,
                  a.out + d, a.dims);
}

}  // namespace headgate::avx512bf16
