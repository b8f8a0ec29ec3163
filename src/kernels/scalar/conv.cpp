// Causal depthwise convolution with SiLU, the reference.
#include <math.h>
#include <stdint.h>

#include "kernels/scalar/kernels.h"

namespace headgate::scalar {

void conv_silu(float* y, int64_t y_stride, const float* x, int64_t x_stride, const float* w,
               int64_t width, float* state, int64_t state_stride, int64_t tokens,
               int64_t channels) {
  const int64_t past = width - 1;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t c = 0; c < channels; ++c) {
      float sum = 0;
      for (int64_t i = 0; i < width; ++i) {
        const int64_t from = t - past + i;  // negative: an input of earlier calls
        const float u = from < 0 ? state[(from + past) * state_stride + c] : x[from * x_stride + c];
        sum = fmaf(w[c * width + i], u, sum);
      }
      y[t * y_stride + c] = sum / (1.0f + expf(-sum));
    }
  }
  for (int64_t i = 0; i < past; ++i) {
    const int64_t from = tokens - past + i;
    const float* row = from < 0 ? state + (from + past) * state_stride : x + from * x_stride;
    for (int64_t c = 0; c < channels; ++c) state[i * state_stride + c] = row[c];
  }
}

}  // namespace headgate::scalar
