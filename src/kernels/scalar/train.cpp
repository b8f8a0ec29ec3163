// Training kernels, to be read: what every instruction set must compute.
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "kernels/train_table.h"

namespace headgate::scalar {
namespace {

constexpr int64_t kColumns = 16;

void tile_f32(const TileArgs& t) {
  const auto* a = static_cast<const float*>(t.a);
  const auto* b = static_cast<const float*>(t.b);
  for (int64_t i = 0; i < t.rows; ++i) {
    float sum[kColumns] = {};
    for (int64_t s = 0; s < t.steps; ++s) {
      const float x = a[i * t.a_row + s * t.a_step];
      for (int64_t j = 0; j < t.columns; ++j) sum[j] += x * b[s * t.b_step + j];
    }
    float* c = t.c + i * t.c_row;
    for (int64_t j = 0; j < t.columns; ++j) c[j] = t.add ? c[j] + sum[j] : sum[j];
  }
}

void transpose(uint32_t* dst, int64_t dst_stride, const uint32_t* src, int64_t src_stride,
               int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) dst[c * dst_stride + r] = src[r * src_stride + c];
  }
}

uint32_t rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (bits >> 16) | 0x40u;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

void pair_rows(uint32_t* dst, int64_t dst_stride, int64_t group_stride, const float* src,
               int64_t stride, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r += 2) {
    const float *low = src + r * stride, *high = low + stride;
    for (int64_t i = 0; i < n; ++i) {
      dst[i / 16 * group_stride + i % 16] =
          rounded(low[i]) | (r + 1 < rows ? rounded(high[i]) << 16 : 0u);
    }
    dst += dst_stride;
  }
}

void pair_inputs(uint32_t* dst, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 2) {
    dst[i / 2] = rounded(x[i]) | (i + 1 < n ? rounded(x[i + 1]) << 16 : 0u);
  }
}

float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

void sigmoids(const float* x, int64_t n, float* s) {
  for (int64_t i = 0; i < n; ++i) s[i] = sigmoid(x[i]);
}

void silu_times(const float* gate, const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] * sigmoid(gate[i]) * x[i];
}

void silu_and_slope(const float* x, int64_t n, float* silu, float* slope) {
  for (int64_t i = 0; i < n; ++i) {
    const float in = x[i], s = sigmoid(in);
    silu[i] = in * s;
    slope[i] = s * (1.0f + in * (1.0f - s));
  }
}

void swiglu_backward(const float* dy, const float* a, const float* b, int64_t n, float* da,
                     float* db) {
  for (int64_t i = 0; i < n; ++i) {
    const float in = a[i], s = sigmoid(in), up = b[i];
    da[i] = dy[i] * up * s * (1.0f + in * (1.0f - s));
    db[i] = dy[i] * in * s;
  }
}

float exp_minus(const float* x, float shift, int64_t n, float* y) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    y[i] = expf(x[i] - shift);
    sum += y[i];
  }
  return sum;
}

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void axpy(float* y, const float* x, float s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += s * x[i];
}

void multiply_add(float* y, const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += a[i] * b[i];
}

void scale(float* y, const float* x, float s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = s * x[i];
}

double square_sum(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += (double)x[i] * (double)x[i];
  return sum;
}

void adamw(const AdamArgs& args, int64_t n, float* w, const float* gradient, float* m, float* v) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * args.scale;
    m[i] = args.beta1 * m[i] + (1.0f - args.beta1) * g;
    v[i] = args.beta2 * v[i] + (1.0f - args.beta2) * g * g;
    const float root = sqrtf(v[i]) * args.inverse_root + args.epsilon;
    w[i] = w[i] * args.keep - args.rate * m[i] / root;
  }
}

}  // namespace

void fill_train(TrainTable& table) {
  table.product_columns = kColumns;
  table.bf16_rows = kProductRows;
  table.tile_f32 = tile_f32;
  table.tile_bf16 = NULL;
  table.transpose = transpose;
  table.pair_rows = pair_rows;
  table.pair_inputs = pair_inputs;
  table.sigmoids = sigmoids;
  table.silu_times = silu_times;
  table.silu_and_slope = silu_and_slope;
  table.swiglu_backward = swiglu_backward;
  table.exp_minus = exp_minus;
  table.dot = dot;
  table.axpy = axpy;
  table.multiply_add = multiply_add;
  table.scale = scale;
  table.square_sum = square_sum;
  table.adamw = adamw;
}

}  // namespace headgate::scalar
