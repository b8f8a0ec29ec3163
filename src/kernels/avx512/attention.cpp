// Softmax sums over a segment of a cache of floats, with fp32 products and sums.
#include "kernels/avx512/attention_core.h"
#include "kernels/avx512/kernels.h"

namespace headgate::avx512 {
namespace {

// Adds one line of both tiles, times R rows, to the sums.
template <int F, int R>
__attribute__((always_inline)) inline void add_line(const float* x, int64_t x_stride,
                                                    const TilePair& b, int64_t line,
                                                    __m512 (&sum)[R][2]) {
  if (F == kKvBF16) {
    const __m512i u = _mm512_loadu_si512(b.tile[0] + line * 64);
    const __m512i v = _mm512_loadu_si512(b.tile[1] + line * 64);
    const __m512i odd = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u));
    const __m512 u0 = _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
    const __m512 v0 = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
    const __m512 u1 = _mm512_castsi512_ps(_mm512_and_si512(u, odd));
    const __m512 v1 = _mm512_castsi512_ps(_mm512_and_si512(v, odd));
    for (int r = 0; r < R; ++r) {
      const __m512 x0 = spread(x + r * x_stride + 2 * line);
      sum[r][0] = _mm512_fmadd_ps(x0, u0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(x0, v0, sum[r][1]);
    }
    for (int r = 0; r < R; ++r) {
      const __m512 x1 = spread(x + r * x_stride + 2 * line + 1);
      sum[r][0] = _mm512_fmadd_ps(x1, u1, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(x1, v1, sum[r][1]);
    }
    return;
  }
  __m512 u, v;
  if (F == kKvF32) {
    u = _mm512_loadu_ps(b.tile[0] + line * 64);
    v = _mm512_loadu_ps(b.tile[1] + line * 64);
  } else {
    u = _mm512_cvtph_ps(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.tile[0] + line * 32)));
    v = _mm512_cvtph_ps(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.tile[1] + line * 32)));
  }
  for (int r = 0; r < R; ++r) {
    const __m512 x0 = spread(x + r * x_stride + line);
    sum[r][0] = _mm512_fmadd_ps(x0, u, sum[r][0]);
    sum[r][1] = _mm512_fmadd_ps(x0, v, sum[r][1]);
  }
}

// y[r][0..31] = row r of x times the tiles.
template <int F, int R>
void multiply(const float* x, int64_t x_stride, const TilePair& b, int64_t depth, bool ahead,
              float* y, int64_t y_stride) {
  constexpr int64_t kLineBytes = F == kKvF16 ? 32 : 64;
  const int64_t lines = F == kKvBF16 ? (depth + 1) / 2 : depth;
  __m512 sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  if (ahead) {
    for (int64_t line = 0; line < lines; ++line) {
      fetch(b, line * kLineBytes);
      add_line<F, R>(x, x_stride, b, line, sum);
    }
  } else {
    for (int64_t line = 0; line < lines; ++line) add_line<F, R>(x, x_stride, b, line, sum);
  }
  for (int r = 0; r < R; ++r) {
    _mm512_storeu_ps(y + r * y_stride, sum[r][0]);
    _mm512_storeu_ps(y + r * y_stride + 16, sum[r][1]);
  }
}

template <int F>
void multiply_rows(int64_t rows, const float* x, int64_t x_stride, const TilePair& b, int64_t depth,
                   float* y, int64_t y_stride) {
  bool ahead = b.ahead[0] != nullptr;
  int64_t r = 0;
  for (; r + 8 <= rows; r += 8) {
    multiply<F, 8>(x + r * x_stride, x_stride, b, depth, ahead, y + r * y_stride, y_stride);
    ahead = false;
  }
  if (rows - r >= 4) {
    multiply<F, 4>(x + r * x_stride, x_stride, b, depth, ahead, y + r * y_stride, y_stride);
    ahead = false;
    r += 4;
  }
  if (rows - r >= 2) {
    multiply<F, 2>(x + r * x_stride, x_stride, b, depth, ahead, y + r * y_stride, y_stride);
    ahead = false;
    r += 2;
  }
  if (rows > r)
    multiply<F, 1>(x + r * x_stride, x_stride, b, depth, ahead, y + r * y_stride, y_stride);
}

template <int F>
void attend(const AttentionArgs& a) {
  auto* score = static_cast<float*>(a.scratch);
  const auto* q = static_cast<const float*>(a.queries);
  const int64_t q_stride = packed_query_bytes(a.dims) / 4;
  for (int64_t t = 0; t < a.tokens; t += kKvStep)
    multiply_rows<F>(a.rows, q, q_stride, key_pair(a, t), a.dims, score + t, kKvSegment);
  for (int64_t r = 0; r < a.rows; ++r) {
    float* row = score + r * kKvSegment;
    soften(a, r, row, [row](int64_t t, __m512 p) {
      _mm512_storeu_ps(row + t, p);
      return p;
    });
  }
  for (int64_t d = 0; d < a.dims; d += kKvStep)
    multiply_rows<F>(a.rows, score, kKvSegment, value_pair(a, d), a.tokens, a.out + d, a.dims);
}

}  // namespace

void pack_query_floats(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<float*>(dst);
  const __m512 by = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < dims; i += 16) {
    const __m512 x = _mm512_maskz_loadu_ps(first_lanes(n - i), q + i);
    _mm512_storeu_ps(to + i, _mm512_mul_ps(x, by));
  }
}

void attention_f32(const AttentionArgs& args) { attend<kKvF32>(args); }
void attention_f16(const AttentionArgs& args) { attend<kKvF16>(args); }
void attention_bf16(const AttentionArgs& args) { attend<kKvBF16>(args); }

}  // namespace headgate::avx512
