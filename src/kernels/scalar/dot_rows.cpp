// Dot products with stored rows of floats, the reference.
#include <stdint.h>

#include "kernels/scalar/kernels.h"
#include "tensor/half.h"

namespace headgate::scalar {
namespace {

float load(const float* p, int64_t i) { return p[i]; }
struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
float load(const F16* p, int64_t i) { return fp16_to_float(p[i].bits); }
float load(const BF16* p, int64_t i) { return bf16_to_float(p[i].bits); }

// Eight partial sums, added pairwise: closer to the truth than one long sum, and fast enough for
// machines without vector kernels.
template <typename T>
float dot(const float* x, const T* w, int64_t n) {
  float part[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) part[j] += x[i + j] * load(w, i + j);
  }
  for (int j = 0; i < n; ++i, ++j) part[j] += x[i] * load(w, i);
  return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

template <typename T>
void dot_all(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
             int64_t rows, int64_t cols) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) y[t][r] = dot(x[t], static_cast<const T*>(w[r]), cols);
  }
}

}  // namespace

void dot_rows_f32(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                  int64_t rows, int64_t cols) {
  dot_all<float>(y, x, tokens, w, rows, cols);
}

void dot_rows_f16(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                  int64_t rows, int64_t cols) {
  dot_all<F16>(y, x, tokens, w, rows, cols);
}

void dot_rows_bf16(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                   int64_t rows, int64_t cols) {
  dot_all<BF16>(y, x, tokens, w, rows, cols);
}

}  // namespace headgate::scalar
