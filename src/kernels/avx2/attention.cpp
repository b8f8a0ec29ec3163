// Softmax sums over a segment of a cache of floats, with fp32 products and sums.
#include "kernels/avx2/attention_core.h"
#include "kernels/avx2/kernels.h"

namespace headgate::avx2 {
namespace {

constexpr int64_t kAhead = 1024;  // bytes

template <int R>
__attribute__((always_inline)) inline void add(const float* x, int64_t x_stride, __m256 u, __m256 v,
                                               __m256 (&sum)[R][2]) {
  for (int r = 0; r < R; ++r) {
    const __m256 x0 = _mm256_broadcast_ss(x + r * x_stride);
    sum[r][0] = _mm256_fmadd_ps(x0, u, sum[r][0]);
    sum[r][1] = _mm256_fmadd_ps(x0, v, sum[r][1]);
  }
}

// y[r][0..15] = row r of x times a tile.
template <int F, int R>
void multiply(const float* x, int64_t x_stride, const char* tile, int64_t depth, bool stream,
              float* y, int64_t y_stride) {
  __m256 sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
  if (F == kKvBF16) {
    const __m256i odd = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u));
    for (int64_t line = 0; line < (depth + 1) / 2; ++line, tile += 64) {
      if (stream) _mm_prefetch(tile + kAhead, _MM_HINT_T0);
      const __m256i u = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile));
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile + 32));
      add<R>(x + 2 * line, x_stride, _mm256_castsi256_ps(_mm256_slli_epi32(u, 16)),
             _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)), sum);
      add<R>(x + 2 * line + 1, x_stride, _mm256_castsi256_ps(_mm256_and_si256(u, odd)),
             _mm256_castsi256_ps(_mm256_and_si256(v, odd)), sum);
    }
  } else if (F == kKvF32) {
    for (int64_t line = 0; line < depth; ++line, tile += 64) {
      if (stream) _mm_prefetch(tile + kAhead, _MM_HINT_T0);
      const auto* at = reinterpret_cast<const float*>(tile);
      add<R>(x + line, x_stride, _mm256_loadu_ps(at), _mm256_loadu_ps(at + 8), sum);
    }
  } else {
    for (int64_t line = 0; line < depth; ++line, tile += 32) {
      if (stream) _mm_prefetch(tile + kAhead, _MM_HINT_T0);
      const auto* at = reinterpret_cast<const __m128i*>(tile);
      add<R>(x + line, x_stride, _mm256_cvtph_ps(_mm_loadu_si128(at)),
             _mm256_cvtph_ps(_mm_loadu_si128(at + 1)), sum);
    }
  }
  for (int r = 0; r < R; ++r) {
    _mm256_storeu_ps(y + r * y_stride, sum[r][0]);
    _mm256_storeu_ps(y + r * y_stride + 8, sum[r][1]);
  }
}

template <int F>
void attend(const AttentionArgs& a) {
  auto* score = static_cast<float*>(a.scratch);
  const auto* q = static_cast<const float*>(a.queries);
  const int64_t q_stride = packed_query_bytes(a.dims) / 4;
  for (int64_t t = 0; t < a.tokens; t += kKvColumns)
    by_rows(a.rows, [&](auto n, int64_t row) {
      multiply<F, decltype(n)::count>(q + row * q_stride, q_stride, key_tile(a, t), a.dims,
                                      a.stream && row == 0, score + row * kKvSegment + t,
                                      kKvSegment);
    });
  soften_rows(a);
  for (int64_t d = 0; d < a.dims; d += kKvColumns)
    by_rows(a.rows, [&](auto n, int64_t row) {
      multiply<F, decltype(n)::count>(score + row * kKvSegment, kKvSegment, value_tile(a, d),
                                      a.tokens, a.stream && row == 0, a.out + row * a.dims + d,
                                      a.dims);
    });
}

}  // namespace

void pack_query_floats(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<float*>(dst);
  for (int64_t i = 0; i < dims; i += 8) {
    const __m256 x = n > i ? load_some(q + i, n - i) : _mm256_setzero_ps();
    _mm256_storeu_ps(to + i, _mm256_mul_ps(x, _mm256_set1_ps(scale)));
  }
}

void attention_f32(const AttentionArgs& args) { attend<kKvF32>(args); }
void attention_f16(const AttentionArgs& args) { attend<kKvF16>(args); }
void attention_bf16(const AttentionArgs& args) { attend<kKvBF16>(args); }

}  // namespace headgate::avx2
