// Norms over heads; sums over tokens go block by block.
#include "train/layers/norms.h"

#include <cmath>

#include "train/layers/activations.h"

namespace headgate {
namespace {

template <typename T>
T square_sum(const T* x, int64_t n) {
  return dot(x, x, n);
}

}  // namespace

template <typename T>
void rms_norm_forward(Ops<T>& ops, Heads<const T> x, const T* w, T eps, Heads<T> y, T* inverse) {
  ops.rows(x.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < x.heads; ++h) {
        const T* in = x.at(t, h);
        T* out = y.at(t, h);
        const T r = T(1) / std::sqrt(square_sum(in, x.width) / static_cast<T>(x.width) + eps);
        inverse[t * x.heads + h] = r;
        for (int64_t i = 0; i < x.width; ++i) out[i] = in[i] * r * (T(1) + w[i]);
      }
    }
  });
}

template <typename T>
void rms_norm_backward(Ops<T>& ops, Heads<const T> dy, Heads<const T> x, const T* w,
                       const T* inverse, Heads<T> dx, bool add, T* dw) {
  ops.reduce_rows(x.rows, x.width, dw, [&](int64_t first, int64_t count, T* partial) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < x.heads; ++h) {
        const T r = inverse[t * x.heads + h];
        const T *in = x.at(t, h), *grad = dy.at(t, h);
        T* out = dx.at(t, h);
        T dot = 0;
        for (int64_t i = 0; i < x.width; ++i) dot += grad[i] * (T(1) + w[i]) * in[i] * r;
        const T mean = dot / static_cast<T>(x.width);
        for (int64_t i = 0; i < x.width; ++i) {
          const T n = in[i] * r, g = grad[i];
          partial[i] += g * n;
          const T d = r * (g * (T(1) + w[i]) - n * mean);
          out[i] = add ? out[i] + d : d;
        }
      }
    }
  });
}

template <typename T>
void gated_norm_forward(Ops<T>& ops, Heads<const T> x, Heads<const T> z, const T* w, T eps,
                        Heads<T> y, T* inverse) {
  ops.rows(x.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < x.heads; ++h) {
        const T *in = x.at(t, h), *gate = z.at(t, h);
        T* out = y.at(t, h);
        const T r = T(1) / std::sqrt(square_sum(in, x.width) / static_cast<T>(x.width) + eps);
        inverse[t * x.heads + h] = r;
        silu_times(gate, in, x.width, out);
        for (int64_t i = 0; i < x.width; ++i) out[i] *= r * w[i];
      }
    }
  });
}

template <typename T>
void gated_norm_backward(Ops<T>& ops, Heads<const T> dy, Heads<const T> x, Heads<const T> z,
                         const T* w, const T* inverse, Heads<T> dx, Heads<T> dz, T* dw) {
  ops.reduce_rows(x.rows, x.width, dw, [&](int64_t first, int64_t count, T* partial) {
    std::vector<T> scratch(static_cast<size_t>(2 * x.width));
    T *silu = scratch.data(), *slope = silu + x.width;
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < x.heads; ++h) {
        const T r = inverse[t * x.heads + h];
        const T *in = x.at(t, h), *grad = dy.at(t, h);
        T *out = dx.at(t, h), *gate_out = dz.at(t, h);
        silu_and_slope(z.at(t, h), x.width, silu, slope);
        T dot = 0;
        for (int64_t i = 0; i < x.width; ++i) dot += grad[i] * w[i] * silu[i] * in[i] * r;
        const T mean = dot / static_cast<T>(x.width);
        for (int64_t i = 0; i < x.width; ++i) {
          const T n = in[i] * r, g = grad[i];
          partial[i] += g * n * silu[i];
          gate_out[i] = g * w[i] * n * slope[i];
          out[i] = r * (g * w[i] * silu[i] - n * mean);
        }
      }
    }
  });
}

template <typename T>
void l2_norm_forward(Ops<T>& ops, Heads<const T> x, T scale, Heads<T> y, T* inverse) {
  ops.rows(x.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < x.heads; ++h) {
        const T* in = x.at(t, h);
        T* out = y.at(t, h);
        const T r = T(1) / std::sqrt(square_sum(in, x.width) + T(1e-6));
        inverse[t * x.heads + h] = r;
        for (int64_t i = 0; i < x.width; ++i) out[i] = in[i] * r * scale;
      }
    }
  });
}

template <typename T>
void l2_norm_backward(Ops<T>& ops, Heads<const T> dy, Heads<const T> x, T scale, const T* inverse,
                      Heads<T> dx) {
  ops.rows(x.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < x.heads; ++h) {
        const T r = inverse[t * x.heads + h];
        const T *in = x.at(t, h), *grad = dy.at(t, h);
        T* out = dx.at(t, h);
        const T along = dot(in, grad, x.width) * r;
        for (int64_t i = 0; i < x.width; ++i) out[i] = r * scale * (grad[i] - in[i] * r * along);
      }
    }
  });
}

#define HEADGATE_NORMS(T)                                                                         \
  template void rms_norm_forward<T>(Ops<T>&, Heads<const T>, const T*, T, Heads<T>, T*);          \
  template void rms_norm_backward<T>(Ops<T>&, Heads<const T>, Heads<const T>, const T*, const T*, \
                                     Heads<T>, bool, T*);                                         \
  template void gated_norm_forward<T>(Ops<T>&, Heads<const T>, Heads<const T>, const T*, T,       \
                                      Heads<T>, T*);                                              \
  template void gated_norm_backward<T>(Ops<T>&, Heads<const T>, Heads<const T>, Heads<const T>,   \
                                       const T*, const T*, Heads<T>, Heads<T>, T*);               \
  template void l2_norm_forward<T>(Ops<T>&, Heads<const T>, T, Heads<T>, T*);                     \
  template void l2_norm_backward<T>(Ops<T>&, Heads<const T>, Heads<const T>, T, const T*, Heads<T>);
HEADGATE_NORMS(float)
HEADGATE_NORMS(double)
#undef HEADGATE_NORMS

}  // namespace headgate
