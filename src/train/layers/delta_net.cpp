// The delta net mixer around delta_core.
#include "train/layers/delta_net.h"

#include <algorithm>
#include <cmath>

#include "train/layers/activations.h"
#include "train/layers/norms.h"

namespace headgate {
namespace {

template <typename T>
T softplus(T x) {
  return x > T(20) ? x : std::log1p(std::exp(x));
}

// sums[t][h / ratio] of parts [tokens, heads], in the order of the heads.
template <typename T>
void sum_groups(Ops<T>& ops, Heads<const T> parts, Heads<T> sums) {
  const int64_t ratio = parts.heads / sums.heads;
  ops.rows(parts.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < parts.heads; ++h) {
        T* to = sums.at(t, h / ratio);
        const T* from = parts.at(t, h);
        if (h % ratio == 0) {
          std::copy(from, from + sums.width, to);
        } else {
          for (int64_t i = 0; i < sums.width; ++i) to[i] += from[i];
        }
      }
    }
  });
}

}  // namespace

template <typename T>
DeltaNetMixer<T>::DeltaNetMixer(const ModelConfig& config, const DeltaNetWeights<T>& weights)
    : shape_(config.delta.shape), eps_(static_cast<T>(config.norm_eps)), weights_(weights) {
  const int64_t dk = shape_.key_dim, values = ratio() * shape_.value_dim;
  const int64_t group = 2 * dk + 2 * values;
  for (int64_t g = 0; g < shape_.key_heads; ++g) {
    segments_.push_back({g * group, g * dk, dk});
    segments_.push_back({g * group + dk, key_width() + g * dk, dk});
    segments_.push_back({g * group + 2 * dk, 2 * key_width() + g * values, values});
  }
}

template <typename T>
Heads<T> DeltaNetMixer<T>::q_of(Out<T> mixed) const {
  return {mixed.columns(0, key_width()), shape_.key_heads};
}
template <typename T>
Heads<T> DeltaNetMixer<T>::k_of(Out<T> mixed) const {
  return {mixed.columns(key_width(), key_width()), shape_.key_heads};
}
template <typename T>
Heads<T> DeltaNetMixer<T>::v_of(Out<T> mixed) const {
  return {mixed.columns(2 * key_width(), value_width()), shape_.value_heads};
}

template <typename T>
int64_t DeltaNetMixer<T>::z_column(int64_t head) const {
  const int64_t values = ratio() * shape_.value_dim, group = 2 * shape_.key_dim + 2 * values;
  return head / ratio() * group + 2 * shape_.key_dim + values + head % ratio() * shape_.value_dim;
}

template <typename T>
int64_t DeltaNetMixer<T>::b_column(int64_t head) const {
  return 2 * key_width() + 2 * value_width() + head / ratio() * 2 * ratio() + head % ratio();
}

template <typename T>
Out<T> DeltaNetMixer<T>::gather_z(Ops<T>& ops, In<T> projected, Borrowed<T>& to) const {
  const Out<T> z = to.shape(projected.rows, value_width());
  ops.rows(z.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < shape_.value_heads; ++h) {
        const T* from = projected.row(t) + z_column(h);
        std::copy(from, from + shape_.value_dim, z.row(t) + h * shape_.value_dim);
      }
    }
  });
  return z;
}

template <typename T>
void DeltaNetMixer<T>::gates_forward(Ops<T>& ops, DeltaNetSaved<T>& saved) const {
  const Out<T> projected = saved.projected.view();
  const Out<T> g = saved.g.shape(projected.rows, shape_.value_heads);
  const Out<T> beta = saved.beta.shape(projected.rows, shape_.value_heads);
  const T *decay = weights_.decay.w.data, *bias = weights_.dt_bias.w.data;
  ops.rows(g.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < g.cols; ++h) {
        beta.row(t)[h] = sigmoid(projected.row(t)[b_column(h)]);
        g.row(t)[h] = -std::exp(decay[h]) * softplus(projected.row(t)[a_column(h)] + bias[h]);
      }
    }
  });
}

template <typename T>
void DeltaNetMixer<T>::gates_backward(Ops<T>& ops, const DeltaNetSaved<T>& saved, In<T> dg,
                                      In<T> d_beta, Out<T> d_projected) const {
  const Out<T> projected = saved.projected.view(), g = saved.g.view(), beta = saved.beta.view();
  const T *decay = weights_.decay.w.data, *bias = weights_.dt_bias.w.data;
  const int64_t heads = g.cols;
  std::vector<T> sums(static_cast<size_t>(2 * heads), T(0));
  ops.reduce_rows(g.rows, 2 * heads, sums.data(), [&](int64_t first, int64_t count, T* partial) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        const T grad = dg.row(t)[h], b = beta.row(t)[h];
        const T da = -grad * std::exp(decay[h]) * sigmoid(projected.row(t)[a_column(h)] + bias[h]);
        d_projected.row(t)[a_column(h)] = da;
        d_projected.row(t)[b_column(h)] = d_beta.row(t)[h] * b * (T(1) - b);
        partial[h] += grad * g.row(t)[h];
        partial[heads + h] += da;
      }
    }
  });
  for (int64_t h = 0; h < heads; ++h) {
    weights_.decay.grad.data[h] += sums[static_cast<size_t>(h)];
    weights_.dt_bias.grad.data[h] += sums[static_cast<size_t>(heads + h)];
  }
}

template <typename T>
DeltaInputs<T> DeltaNetMixer<T>::core_inputs(const DeltaNetSaved<T>& saved) const {
  return {Heads<T>(saved.q.view(), shape_.key_heads), Heads<T>(saved.k.view(), shape_.key_heads),
          v_of(saved.mixed.view()), saved.g.view(), saved.beta.view()};
}

template <typename T>
void DeltaNetMixer<T>::forward(Ops<T>& ops, const BatchLayout& layout, In<T> x,
                               DeltaNetSaved<T>& saved, Out<T> y) {
  const int64_t n = x.rows;
  const Out<T> projected = saved.projected.shape(n, weights_.in.w.rows);
  linear_forward(ops, x, weights_.in.w, projected, true);
  const Out<T> mixed = saved.mixed.shape(n, weights_.conv.w.rows);
  conv_forward<T>(ops, layout, segments_, projected, weights_.conv.w, mixed);
  const T scale = T(1) / std::sqrt(static_cast<T>(shape_.key_dim));
  l2_norm_forward<T>(ops, q_of(mixed), scale,
                     Heads<T>(saved.q.shape(n, key_width()), shape_.key_heads),
                     saved.q_inverse.shape(n, shape_.key_heads).data);
  l2_norm_forward<T>(ops, k_of(mixed), T(1),
                     Heads<T>(saved.k.shape(n, key_width()), shape_.key_heads),
                     saved.k_inverse.shape(n, shape_.key_heads).data);
  gates_forward(ops, saved);
  const Heads<T> o(saved.o.shape(n, value_width()), shape_.value_heads);
  delta_core_forward<T>(ops, layout, core_inputs(saved), saved.core, o);
  Borrowed<T> buffer(ops);
  const Heads<T> z(gather_z(ops, projected, buffer), shape_.value_heads);
  const Out<T> normed = saved.normed.shape(n, value_width());
  gated_norm_forward<T>(ops, o, z, weights_.norm.w.data, eps_, Heads<T>(normed, shape_.value_heads),
                        saved.o_inverse.shape(n, shape_.value_heads).data);
  linear_forward<T>(ops, normed, weights_.out.w, y, true);
}

template <typename T>
void DeltaNetMixer<T>::core_backward(Ops<T>& ops, const BatchLayout& layout, In<T> d_o,
                                     DeltaNetSaved<T>& saved, Out<T> d_projected) const {
  const int64_t n = d_o.rows, heads = shape_.value_heads;
  Borrowed<T> wide_q(ops), wide_k(ops), gates(ops), mixed_buffer(ops), du(ops);
  const Out<T> d_mixed = mixed_buffer.shape(n, weights_.conv.w.rows);
  const Heads<T> dq(wide_q.shape(n, heads * shape_.key_dim), heads);
  const Heads<T> dk(wide_k.shape(n, heads * shape_.key_dim), heads);
  const Out<T> d_gates = gates.shape(n, 2 * heads);
  const Out<T> dg = d_gates.columns(0, heads), d_beta = d_gates.columns(heads, heads);
  delta_core_backward<T>(ops, layout, core_inputs(saved), saved.core, Heads<const T>(d_o, heads),
                         {dq, dk, v_of(d_mixed), dg, d_beta});
  sum_groups<T>(ops, dq, q_of(d_mixed));
  sum_groups<T>(ops, dk, k_of(d_mixed));
  const Out<T> mixed = saved.mixed.view();
  const T scale = T(1) / std::sqrt(static_cast<T>(shape_.key_dim));
  l2_norm_backward<T>(ops, q_of(d_mixed), q_of(mixed), scale, saved.q_inverse.data(),
                      q_of(d_mixed));
  l2_norm_backward<T>(ops, k_of(d_mixed), k_of(mixed), T(1), saved.k_inverse.data(), k_of(d_mixed));
  gates_backward(ops, saved, dg, d_beta, d_projected);
  conv_backward<T>(ops, layout, segments_, d_mixed, saved.projected.view(), weights_.conv.w,
                   du.shape(n, d_mixed.cols), d_projected, weights_.conv.grad);
}

template <typename T>
void DeltaNetMixer<T>::backward(Ops<T>& ops, const BatchLayout& layout, In<T> dy, In<T> x,
                                DeltaNetSaved<T>& saved, Out<T> dx) {
  const int64_t n = x.rows, heads = shape_.value_heads;
  Borrowed<T> normed_buffer(ops), z_buffer(ops), projected_buffer(ops);
  const Out<T> d_normed = normed_buffer.shape(n, value_width());
  linear_backward<T>(ops, dy, saved.normed.view(), weights_.out, d_normed, false, true);
  const Out<T> projected = saved.projected.view();
  const Out<T> d_projected = projected_buffer.shape(n, projected.cols);
  const Out<T> z = gather_z(ops, projected, z_buffer);
  const Heads<T> d_o(d_normed, heads), z_heads(z, heads);
  gated_norm_backward<T>(ops, d_o, Heads<T>(saved.o.view(), heads), z_heads, weights_.norm.w.data,
                         saved.o_inverse.data(), d_o, z_heads, weights_.norm.grad.data);
  ops.rows(n, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        std::copy(z_heads.at(t, h), z_heads.at(t, h) + shape_.value_dim,
                  d_projected.row(t) + z_column(h));
      }
    }
  });
  core_backward(ops, layout, d_normed, saved, d_projected);
  linear_backward<T>(ops, d_projected, x, weights_.in, dx, false, true);
}

template class DeltaNetMixer<float>;
template class DeltaNetMixer<double>;

}  // namespace headgate
