// Sigmoid, SiLU and their slopes over arrays; in float on the machine's kernels.
#pragma once

#include <cmath>
#include <cstdint>

namespace headgate {

template <typename T>
T sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// y[i] = silu(gate[i]) * x[i]; y may be x or gate.
template <typename T>
void silu_times(const T* gate, const T* x, int64_t n, T* y);
// silu[i] = silu(x[i]); slope[i] = silu'(x[i]) = s (1 + x (1 - s)), s = sigmoid(x).
template <typename T>
void silu_and_slope(const T* x, int64_t n, T* silu, T* slope);
// Backward of y = silu(a) * b: da, db from dy; da may be a, db may be b.
template <typename T>
void swiglu_backward(const T* dy, const T* a, const T* b, int64_t n, T* da, T* db);
// s[i] = sigmoid(x[i]); s may be x.
template <typename T>
void sigmoids(const T* x, int64_t n, T* s);
// y[i] = exp(x[i] - shift), returns their sum; y may be x.
template <typename T>
T exp_shifted(const T* x, T shift, int64_t n, T* y);
// sum a[i] b[i].
template <typename T>
T dot(const T* a, const T* b, int64_t n);
// y[i] += s x[i].
template <typename T>
void add_scaled(T* y, const T* x, T s, int64_t n);
// y += a b.
template <typename T>
void multiply_add(T* y, const T* a, const T* b, int64_t n);
// y = s x; y may be x.
template <typename T>
void scale_row(T* y, const T* x, T s, int64_t n);

}  // namespace headgate
