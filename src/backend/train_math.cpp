// Rows of training through the kernel table of this machine.
#include "backend/train_math.h"

#include "kernels/train_dispatch.h"

namespace headgate {
namespace {

const TrainTable& kernels() {
  static const TrainTable table = train_kernels_for(selected_isa());
  return table;
}

}  // namespace

void row_sigmoids(const float* x, int64_t n, float* s) { kernels().sigmoids(x, n, s); }

void row_silu_times(const float* gate, const float* x, int64_t n, float* y) {
  kernels().silu_times(gate, x, n, y);
}

void row_silu_and_slope(const float* x, int64_t n, float* silu, float* slope) {
  kernels().silu_and_slope(x, n, silu, slope);
}

void row_swiglu_backward(const float* dy, const float* a, const float* b, int64_t n, float* da,
                         float* db) {
  kernels().swiglu_backward(dy, a, b, n, da, db);
}

float row_exp_minus(const float* x, float shift, int64_t n, float* y) {
  return kernels().exp_minus(x, shift, n, y);
}

float row_dot(const float* a, const float* b, int64_t n) { return kernels().dot(a, b, n); }

void row_axpy(float* y, const float* x, float s, int64_t n) { kernels().axpy(y, x, s, n); }

void row_multiply_add(float* y, const float* a, const float* b, int64_t n) {
  kernels().multiply_add(y, a, b, n);
}

void row_scale(float* y, const float* x, float s, int64_t n) { kernels().scale(y, x, s, n); }

double row_square_sum(const float* x, int64_t n) { return kernels().square_sum(x, n); }

void transpose_rows(float* dst, int64_t dst_stride, const float* src, int64_t src_stride,
                    int64_t rows, int64_t columns) {
  // The kernel moves 32-bit words, whatever they mean.
  kernels().transpose(reinterpret_cast<uint32_t*>(dst), dst_stride,
                      reinterpret_cast<const uint32_t*>(src), src_stride, rows, columns);
}

void row_adamw(const AdamwFactors& f, int64_t n, float* w, const float* gradient, float* m,
               float* v) {
  kernels().adamw({f.beta1, f.beta2, f.keep, f.rate, f.inverse_root, f.epsilon, f.scale}, n, w,
                  gradient, m, v);
}

}  // namespace headgate
