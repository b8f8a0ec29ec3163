// Norms of one row, the reference.
#include <math.h>
#include <stdint.h>

#include "kernels/scalar/kernels.h"

namespace headgate::scalar {
namespace {

float sum_of_squares(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return static_cast<float>(sum);
}

float rms_scale(const float* x, int64_t n, float eps) {
  return 1.0f / sqrtf(sum_of_squares(x, n) / static_cast<float>(n) + eps);
}

}  // namespace

void rms_norm(float* y, const float* x, const float* w, int64_t n, float eps) {
  const float scale = rms_scale(x, n, eps);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale * w[i];
}

void gated_rms_norm(float* y, const float* x, const float* z, const float* w, int64_t n,
                    float eps) {
  const float scale = rms_scale(x, n, eps);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale * w[i] * (z[i] / (1.0f + expf(-z[i])));
}

void l2_norm(float* y, const float* x, int64_t n, float scale) {
  const float s = scale / sqrtf(sum_of_squares(x, n) + 1e-6f);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * s;
}

}  // namespace headgate::scalar
