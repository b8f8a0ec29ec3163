// Rows of training on the machine's kernels: slopes, exponentials, sums, the AdamW update.
#pragma once

#include <cstdint>

namespace headgate {

// One function per entry of kernels/train_table.h, at the level selected_isa() gives when the
// process first asks. Arrays are unaligned; sums have one order, fixed by n. Thread-safe.

void row_sigmoids(const float* x, int64_t n, float* s);  // s may be x
// y = silu(gate) x; y may be x or gate.
void row_silu_times(const float* gate, const float* x, int64_t n, float* y);
// silu may be x.
void row_silu_and_slope(const float* x, int64_t n, float* silu, float* slope);
// y = silu(a) b: da, db from dy; da may be a, db may be b.
void row_swiglu_backward(const float* dy, const float* a, const float* b, int64_t n, float* da,
                         float* db);
// y = exp(x - shift), returns the sum; y may be x.
float row_exp_minus(const float* x, float shift, int64_t n, float* y);
float row_dot(const float* a, const float* b, int64_t n);
void row_axpy(float* y, const float* x, float s, int64_t n);                 // y += s x
void row_multiply_add(float* y, const float* a, const float* b, int64_t n);  // y += a b
void row_scale(float* y, const float* x, float s, int64_t n);                // y = s x; y may be x
double row_square_sum(const float* x, int64_t n);
// dst[c][r] = src[r][c]; strides in floats.
void transpose_rows(float* dst, int64_t dst_stride, const float* src, int64_t src_stride,
                    int64_t rows, int64_t columns);

// Bias corrections and decay of one AdamW step; see kernels/train_table.h.
struct AdamwFactors {
  float beta1, beta2, keep, rate, inverse_root, epsilon, scale;
};
void row_adamw(const AdamwFactors& factors, int64_t n, float* w, const float* gradient, float* m,
               float* v);

}  // namespace headgate
