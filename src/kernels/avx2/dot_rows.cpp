// Dot products with stored rows of floats: up to 4 rows x 4 tokens share the loads. Every output
// has one accumulator of 8 lanes, so its bits do not depend on the blocking.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

template <int F>
__m256 load_weights(const void* w, int64_t i, int64_t left) {
  if (F == kFloatF32) return load_some(static_cast<const float*>(w) + i, left);
  const __m128i h = load_some(static_cast<const uint16_t*>(w) + i, left);
  return F == kFloatF16 ? _mm256_cvtph_ps(h) : bf16_floats(h);
}

template <int F, int R, int T>
void block(float* const* y, const float* const* x, const void* const* w, int64_t row,
           int64_t cols) {
  __m256 sum[R][T];
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) sum[r][t] = _mm256_setzero_ps();
  }
  for (int64_t i = 0; i < cols; i += 8) {
    __m256 weights[R];
    for (int r = 0; r < R; ++r) weights[r] = load_weights<F>(w[row + r], i, cols - i);
    for (int t = 0; t < T; ++t) {
      const __m256 in = load_some(x[t] + i, cols - i);
      for (int r = 0; r < R; ++r) sum[r][t] = _mm256_fmadd_ps(weights[r], in, sum[r][t]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int t = 0; t < T; ++t) y[t][row + r] = sum_lanes(sum[r][t]);
  }
}

// Eight accumulators at most: there are 16 registers.
template <int F, int R, int T>
void all_rows(float* const* y, const float* const* x, const void* const* w, int64_t rows,
              int64_t cols) {
  int64_t row = 0;
  for (; row + R <= rows; row += R) block<F, R, T>(y, x, w, row, cols);
  for (; row < rows; ++row) block<F, 1, T>(y, x, w, row, cols);
}

template <int F>
void dot_all(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
             int64_t rows, int64_t cols) {
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4) all_rows<F, 2, 4>(y + t, x + t, w, rows, cols);
  for (; t + 2 <= tokens; t += 2) all_rows<F, 4, 2>(y + t, x + t, w, rows, cols);
  if (t < tokens) all_rows<F, 4, 1>(y + t, x + t, w, rows, cols);
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

}  // namespace headgate::avx2
