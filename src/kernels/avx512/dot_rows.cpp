// Dot products with stored rows of floats: 4 rows x up to 6 tokens share the loads; one or two
// tokens are bound by memory and take row after row, a single stream. Every output has one
// accumulator of 16 lanes, so its bits do not depend on the blocking.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

constexpr int kStreamTokens = 2;          // up to so many take one row at a time
constexpr int64_t kAheadBytes = 6 << 10;  // what is fetched lies so far ahead

template <int F>
__attribute__((always_inline)) inline __m512 load_weights(const void* w, int64_t i) {
  if (F == kFloatF32) return _mm512_loadu_ps(static_cast<const float*>(w) + i);
  const auto* h = static_cast<const uint16_t*>(w) + i;
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(h));
  if (F == kFloatF16) return _mm512_cvtph_ps(bits);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

template <int F>
__m512 load_tail(const void* w, int64_t i, __mmask16 live) {
  if (F == kFloatF32) return _mm512_maskz_loadu_ps(live, static_cast<const float*>(w) + i);
  const __m256i h = _mm256_maskz_loadu_epi16(live, static_cast<const uint16_t*>(w) + i);
  if (F == kFloatF16) return _mm512_cvtph_ps(h);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

template <int F, int R, int T>
void block(float* const* y, const float* const* x, const void* const* w, int64_t row,
           int64_t cols) {
  constexpr int64_t kBytes = F == kFloatF32 ? 4 : 2;
  __m512 sum[R][T];
  const void* weight[R];
  const float* in[T];
  for (int t = 0; t < T; ++t) in[t] = x[t];
  for (int r = 0; r < R; ++r) {
    weight[r] = w[row + r];
    for (int t = 0; t < T; ++t) sum[r][t] = _mm512_setzero_ps();
  }
  int64_t i = 0;
  for (; i + 16 <= cols; i += 16) {
    __m512 v[R];
    for (int r = 0; r < R; ++r) {
      v[r] = load_weights<F>(weight[r], i);
      // Rows mostly follow each other: the next ones, where the hardware stops at the end of a
      // page.
      if (T <= kStreamTokens && i * kBytes % 64 == 0) {
        const auto* here = static_cast<const char*>(weight[r]) + i * kBytes;
        _mm_prefetch(here + kAheadBytes, _MM_HINT_T0);
      }
    }
    for (int t = 0; t < T; ++t) {
      const __m512 u = _mm512_loadu_ps(in[t] + i);
      for (int r = 0; r < R; ++r) sum[r][t] = _mm512_fmadd_ps(v[r], u, sum[r][t]);
    }
  }
  if (i < cols) {
    const __mmask16 live = live_lanes(cols - i);
    for (int r = 0; r < R; ++r) {
      const __m512 v = load_tail<F>(weight[r], i, live);
      for (int t = 0; t < T; ++t)
        sum[r][t] = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(live, in[t] + i), sum[r][t]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) y[t][row + r] = _mm512_reduce_add_ps(sum[r][t]);
  }
}

template <int F, int T>
void all_rows(float* const* y, const float* const* x, const void* const* w, int64_t rows,
              int64_t cols) {
  int64_t row = 0;
  for (; T > kStreamTokens && row + 4 <= rows; row += 4) block<F, 4, T>(y, x, w, row, cols);
  for (; row < rows; ++row) block<F, 1, T>(y, x, w, row, cols);
}

template <int F>
void dot_all(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
             int64_t rows, int64_t cols) {
  int64_t t = 0;
  for (; t + 6 <= tokens; t += 6) all_rows<F, 6>(y + t, x + t, w, rows, cols);
  switch (tokens - t) {
    case 5:
      return all_rows<F, 5>(y + t, x + t, w, rows, cols);
    case 4:
      return all_rows<F, 4>(y + t, x + t, w, rows, cols);
    case 3:
      return all_rows<F, 3>(y + t, x + t, w, rows, cols);
    case 2:
      return all_rows<F, 2>(y + t, x + t, w, rows, cols);
    case 1:
      return all_rows<F, 1>(y + t, x + t, w, rows, cols);
    default:
      return;
  }
}

}  // namespace

void dot_rows_f32(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                  int64_t rows, int64_t cols) {
  dot_all<kFloatF32>(y, x, tokens, w, rows, cols);
}

void dot_rows_f16(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                  int64_t rows, int64_t cols) {
  dot_all<kFloatF16>(y, x, tokens, w, rows, cols);
}

void dot_rows_bf16(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                   int64_t rows, int64_t cols) {
  dot_all<kFloatBF16>(y, x, tokens, w, rows, cols);
}

}  // namespace headgate::avx512
