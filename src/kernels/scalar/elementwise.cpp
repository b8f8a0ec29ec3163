// Elementwise operations, exponentials, rotation and rounding to storage types, the reference.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/scalar/kernels.h"
#include "tensor/half.h"

namespace headgate::scalar {

void add_scaled(float* y, const float* x, float s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = fmaf(s, x[i], y[i]);
}

void scale_add(float* y, float s, const float* x, float t, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = fmaf(x[i], t, y[i] * s);
}

void swiglu(float* y, const float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void sigmoid_gate(float* y, const float* gate, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = y[i] / (1.0f + expf(-gate[i]));
}

float exp_shifted(float* y, const float* x, int64_t n) {
  float max = x[0];
  for (int64_t i = 1; i < n; ++i) max = x[i] > max ? x[i] : max;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    y[i] = expf(x[i] - max);
    sum += y[i];
  }
  return static_cast<float>(sum);
}

void rotate_half(float* x, const float* cosines, const float* sines, int64_t half) {
  for (int64_t j = 0; j < half; ++j) {
    const float a = x[j], b = x[j + half];
    x[j] = a * cosines[j] - b * sines[j];
    x[j + half] = b * cosines[j] + a * sines[j];
  }
}

void store_f32(void* dst, const float* x, int64_t n) {
  memcpy(dst, x, static_cast<size_t>(n) * sizeof(float));
}

void store_f16(void* dst, const float* x, int64_t n) {
  auto* out = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_fp16(x[i]);
}

void store_bf16(void* dst, const float* x, int64_t n) {
  auto* out = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_bf16(x[i]);
}

uint64_t read_words(const uint64_t* words, int64_t n) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += words[i];
  return sum;
}

}  // namespace headgate::scalar
