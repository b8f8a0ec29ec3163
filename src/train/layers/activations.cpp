// Elementwise functions and their slopes: plain loops, and the machine's kernels for float.
#include "train/layers/activations.h"

#include <type_traits>

#include "backend/train_math.h"

namespace headgate {
namespace {

template <typename T>
constexpr bool kFast = std::is_same_v<T, float>;

}  // namespace

template <typename T>
void silu_times(const T* gate, const T* x, int64_t n, T* y) {
  if constexpr (kFast<T>) {
    row_silu_times(gate, x, n, y);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = gate[i] * sigmoid(gate[i]) * x[i];
  }
}

template <typename T>
void silu_and_slope(const T* x, int64_t n, T* silu, T* slope) {
  if constexpr (kFast<T>) {
    row_silu_and_slope(x, n, silu, slope);
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const T in = x[i], s = sigmoid(in);
      silu[i] = in * s;
      slope[i] = s * (T(1) + in * (T(1) - s));
    }
  }
}

template <typename T>
void swiglu_backward(const T* dy, const T* a, const T* b, int64_t n, T* da, T* db) {
  if constexpr (kFast<T>) {
    row_swiglu_backward(dy, a, b, n, da, db);
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const T in = a[i], s = sigmoid(in), grad = dy[i], up = b[i];
      da[i] = grad * up * s * (T(1) + in * (T(1) - s));
      db[i] = grad * in * s;
    }
  }
}

template <typename T>
void sigmoids(const T* x, int64_t n, T* s) {
  if constexpr (kFast<T>) {
    row_sigmoids(x, n, s);
  } else {
    for (int64_t i = 0; i < n; ++i) s[i] = sigmoid(x[i]);
  }
}

template <typename T>
T exp_shifted(const T* x, T shift, int64_t n, T* y) {
  if constexpr (kFast<T>) {
    return row_exp_minus(x, shift, n, y);
  } else {
    T sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      y[i] = std::exp(x[i] - shift);
      sum += y[i];
    }
    return sum;
  }
}

template <typename T>
T dot(const T* a, const T* b, int64_t n) {
  if constexpr (kFast<T>) {
    return row_dot(a, b, n);
  } else {
    T sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  }
}

template <typename T>
void add_scaled(T* y, const T* x, T s, int64_t n) {
  if constexpr (kFast<T>) {
    row_axpy(y, x, s, n);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] += s * x[i];
  }
}

template <typename T>
void multiply_add(T* y, const T* a, const T* b, int64_t n) {
  if constexpr (kFast<T>) {
    row_multiply_add(y, a, b, n);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] += a[i] * b[i];
  }
}

template <typename T>
void scale_row(T* y, const T* x, T s, int64_t n) {
  if constexpr (kFast<T>) {
    row_scale(y, x, s, n);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = s * x[i];
  }
}

#define HEADGATE_ACTIVATIONS(T)                                                    \
  template void silu_times<T>(const T*, const T*, int64_t, T*);                    \
  template void silu_and_slope<T>(const T*, int64_t, T*, T*);                      \
  template void swiglu_backward<T>(const T*, const T*, const T*, int64_t, T*, T*); \
  template void sigmoids<T>(const T*, int64_t, T*);                                \
  template T exp_shifted<T>(const T*, T, int64_t, T*);                             \
  template T dot<T>(const T*, const T*, int64_t);                                  \
  template void add_scaled<T>(T*, const T*, T, int64_t);                           \
  template void multiply_add<T>(T*, const T*, const T*, int64_t);                  \
  template void scale_row<T>(T*, const T*, T, int64_t);
HEADGATE_ACTIVATIONS(float)
HEADGATE_ACTIVATIONS(double)
#undef HEADGATE_ACTIVATIONS

}  // namespace headgate
