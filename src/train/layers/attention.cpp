// The attention mixer around attention_core.
#include "train/layers/attention.h"

#include <cmath>

#include "train/layers/activations.h"
#include "train/layers/norms.h"

namespace headgate {
namespace {

// Rotates every head by its token's angle, or back.
template <typename T>
void rotate(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation, int64_t offset,
            bool back, Heads<T> x) {
  const Out<T> cosines = rotation.cosines.view(), sines = rotation.sines.view();
  const int64_t half = cosines.cols;
  ops.rows(x.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      const int64_t position = layout.positions[static_cast<size_t>(t)] + offset;
      const T *c = cosines.row(position), *s = sines.row(position);
      for (int64_t h = 0; h < x.heads; ++h) {
        T* v = x.at(t, h);
        for (int64_t j = 0; j < half; ++j) {
          const T a = v[j], b = v[j + half], sine = back ? -s[j] : s[j];
          v[j] = a * c[j] - b * sine;
          v[j + half] = b * c[j] + a * sine;
        }
      }
    }
  });
}

}  // namespace

template <typename T>
void Rotation<T>::prepare(const RopeTable& table, int64_t positions) {
  const auto half = static_cast<int64_t>(table.inverse_frequencies.size());
  if (cosines.view().rows >= positions) return;
  const Out<T> c = cosines.shape(positions, half), s = sines.shape(positions, half);
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t j = 0; j < half; ++j) {
      // The angle is rounded to fp32, as every other implementation does.
      const float angle = static_cast<float>(p) * table.inverse_frequencies[static_cast<size_t>(j)];
      c.row(p)[j] = static_cast<T>(std::cos(angle) * table.scale);
      s.row(p)[j] = static_cast<T>(std::sin(angle) * table.scale);
    }
  }
}

template <typename T>
Heads<T> AttentionMixer<T>::queries(Out<T> p) const {
  return {p.data, p.rows, config_.heads, config_.head_dim, p.stride, 2 * config_.head_dim};
}
template <typename T>
Heads<T> AttentionMixer<T>::gates(Out<T> p) const {
  Heads<T> q = queries(p);
  q.data += config_.head_dim;
  return q;
}
template <typename T>
Heads<T> AttentionMixer<T>::keys(Out<T> p) const {
  return {p.columns(2 * query_width(), kv_width()), config_.kv_heads};
}
template <typename T>
Heads<T> AttentionMixer<T>::values(Out<T> p) const {
  return {p.columns(2 * query_width() + kv_width(), kv_width()), config_.kv_heads};
}
template <typename T>
KeyValues<T> AttentionMixer<T>::key_values(const AttentionSaved<T>& saved) const {
  return {Heads<T>(saved.k.view(), config_.kv_heads), values(saved.projected.view())};
}
template <typename T>
KeyValueGradients<T> AttentionMixer<T>::key_value_gradients(const AttentionSaved<T>& saved) const {
  return {Heads<T>(saved.dk.view(), config_.kv_heads), values(saved.d_projected.view())};
}

template <typename T>
void AttentionMixer<T>::forward(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation,
                                int64_t offset, std::vector<AttentionSaved<T>*> steps, In<T> x,
                                AttentionSaved<T>& saved, Out<T> y) {
  const int64_t n = x.rows, heads = config_.heads, kv_heads = config_.kv_heads;
  const Out<T> projected = saved.projected.shape(n, 2 * query_width() + 2 * kv_width());
  linear_forward(ops, x, weights_.qkv.w, projected, true);
  const Heads<T> q(saved.q.shape(n, query_width()), heads);
  const Heads<T> k(saved.k.shape(n, kv_width()), kv_heads);
  rms_norm_forward<T>(ops, queries(projected), weights_.query_norm.w.data, eps_, q,
                      saved.q_inverse.shape(n, heads).data);
  rms_norm_forward<T>(ops, keys(projected), weights_.key_norm.w.data, eps_, k,
                      saved.k_inverse.shape(n, kv_heads).data);
  rotate(ops, layout, rotation, offset, false, q);
  rotate(ops, layout, rotation, offset, false, k);
  steps.push_back(&saved);
  std::vector<KeyValues<T>> all;
  for (const AttentionSaved<T>* step : steps) all.push_back(key_values(*step));
  const T scale = T(1) / std::sqrt(static_cast<T>(config_.head_dim));
  const Heads<T> o(saved.o.shape(n, query_width()), heads);
  attention_core_forward<T>(ops, layout, {q, all[0], std::span(all).subspan(1), scale}, o,
                            saved.lse.shape(n, heads));
  const Out<T> gated = saved.gated.shape(n, query_width());
  const Heads<T> gate = gates(projected), out(gated, heads);
  ops.rows(n, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        T* to = out.at(t, h);
        sigmoids(static_cast<const T*>(gate.at(t, h)), o.width, to);
        for (int64_t i = 0; i < o.width; ++i) to[i] *= o.at(t, h)[i];
      }
    }
  });
  linear_forward<T>(ops, gated, weights_.out.w, y, true);
}

template <typename T>
void AttentionMixer<T>::start_backward(AttentionSaved<T>& saved, int64_t tokens) {
  saved.d_projected.zeros(tokens, 2 * query_width() + 2 * kv_width());
  saved.dk.zeros(tokens, kv_width());
}

template <typename T>
void AttentionMixer<T>::backward(Ops<T>& ops, const BatchLayout& layout,
                                 const Rotation<T>& rotation, int64_t offset,
                                 std::vector<AttentionSaved<T>*> steps, In<T> dy, In<T> x,
                                 AttentionSaved<T>& saved, Out<T> dx) {
  const int64_t n = x.rows, heads = config_.heads;
  Borrowed<T> gradient(ops), dq_buffer(ops);
  const Out<T> d_gated = gradient.shape(n, query_width());
  linear_backward<T>(ops, dy, saved.gated.view(), weights_.out, d_gated, false, true);
  const Out<T> projected = saved.projected.view(), d_projected = saved.d_projected.view();
  const Heads<T> gate = gates(projected), d_gate = gates(d_projected), d_o(d_gated, heads);
  const Heads<T> o(saved.o.view(), heads);
  ops.rows(n, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        T *grad = d_o.at(t, h), *to = d_gate.at(t, h);
        sigmoids(static_cast<const T*>(gate.at(t, h)), o.width, to);
        for (int64_t i = 0; i < o.width; ++i) {
          const T s = to[i];
          to[i] = grad[i] * o.at(t, h)[i] * s * (T(1) - s);
          grad[i] *= s;
        }
      }
    }
  });
  steps.push_back(&saved);
  std::vector<KeyValues<T>> all;
  std::vector<KeyValueGradients<T>> grads;
  for (const AttentionSaved<T>* step : steps) {
    all.push_back(key_values(*step));
    grads.push_back(key_value_gradients(*step));
  }
  const T scale = T(1) / std::sqrt(static_cast<T>(config_.head_dim));
  const Heads<T> dq(dq_buffer.shape(n, query_width()), heads);
  attention_core_backward<T>(
      ops, layout, {Heads<T>(saved.q.view(), heads), all[0], std::span(all).subspan(1), scale}, o,
      saved.lse.view(), d_o, dq, grads[0], std::span<const KeyValueGradients<T>>(grads).subspan(1));
  const Heads<T> dk(saved.dk.view(), config_.kv_heads);
  rotate(ops, layout, rotation, offset, true, dq);
  rotate(ops, layout, rotation, offset, true, dk);
  rms_norm_backward<T>(ops, dq, queries(projected), weights_.query_norm.w.data,
                       saved.q_inverse.data(), queries(d_projected), false,
                       weights_.query_norm.grad.data);
  rms_norm_backward<T>(ops, dk, keys(projected), weights_.key_norm.w.data, saved.k_inverse.data(),
                       keys(d_projected), false, weights_.key_norm.grad.data);
  linear_backward<T>(ops, d_projected, x, weights_.qkv, dx, false, true);
}

template struct Rotation<float>;
template struct Rotation<double>;
template class AttentionMixer<float>;
template class AttentionMixer<double>;

}  // namespace headgate
