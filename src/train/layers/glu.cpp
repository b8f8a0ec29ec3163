// Gated units by rows.
#include "train/layers/glu.h"

#include <vector>

#include "train/layers/activations.h"

namespace headgate {

template <typename T>
void glu_forward(Ops<T>& ops, In<T> ab, const T* scale, Out<T> h, Out<T> scaled) {
  ops.rows(h.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      silu_times(ab.row(t), ab.row(t) + h.cols, h.cols, h.row(t));
      if (scale == nullptr) continue;
      scale_row(scaled.row(t), static_cast<const T*>(h.row(t)), scale[t], h.cols);
    }
  });
}

template <typename T>
void glu_backward(Ops<T>& ops, In<T> d_scaled, In<T> ab, In<T> h, const T* scale, T* d_scale,
                  Out<T> dab) {
  ops.rows(h.rows, [&](int64_t first, int64_t count) {
    std::vector<T> dh(static_cast<size_t>(h.cols));
    for (int64_t t = first; t < first + count; ++t) {
      const T* grad = d_scaled.row(t);
      if (scale != nullptr) {
        d_scale[t] = dot(grad, h.row(t), h.cols);
        scale_row(dh.data(), grad, scale[t], h.cols);
        grad = dh.data();
      }
      swiglu_backward(grad, ab.row(t), ab.row(t) + h.cols, h.cols, dab.row(t), dab.row(t) + h.cols);
    }
  });
}

template void glu_forward<float>(Ops<float>&, In<float>, const float*, Out<float>, Out<float>);
template void glu_forward<double>(Ops<double>&, In<double>, const double*, Out<double>,
                                  Out<double>);
template void glu_backward<float>(Ops<float>&, In<float>, In<float>, In<float>, const float*,
                                  float*, Out<float>);
template void glu_backward<double>(Ops<double>&, In<double>, In<double>, In<double>, const double*,
                                   double*, Out<double>);

}  // namespace headgate
