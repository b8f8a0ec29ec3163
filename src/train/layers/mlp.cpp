// Experts: tokens are gathered by expert, multiplied in one batch of products, and gathered back
// per token in the order of its choices.
#include "train/layers/mlp.h"

#include <algorithm>

#include "train/layers/activations.h"
#include "train/layers/glu.h"

namespace headgate {
namespace {

// rows[slot] = x[token of slot].
template <typename T>
void gather_slots(Ops<T>& ops, const Routing& routing, In<T> x, Out<T> rows) {
  ops.rows(routing.slots(), [&](int64_t first, int64_t count) {
    for (int64_t slot = first; slot < first + count; ++slot) {
      const T* from = x.row(routing.slot_token[static_cast<size_t>(slot)]);
      std::copy(from, from + x.cols, rows.row(slot));
    }
  });
}

// y[token] = sum over its slots, in the order of its choices.
template <typename T>
void combine_slots(Ops<T>& ops, const Routing& routing, In<T> rows, Out<T> y) {
  ops.rows(y.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      T* out = y.row(t);
      std::fill(out, out + y.cols, T(0));
      for (int64_t k = 0; k < routing.choices; ++k) {
        const int32_t slot = routing.token_slot[static_cast<size_t>(t * routing.choices + k)];
        if (slot < 0) continue;
        const T* from = rows.row(slot);
        add_scaled(out, from, T(1), y.cols);
      }
    }
  });
}

}  // namespace

template <typename T>
void Mlp<T>::experts_forward(Ops<T>& ops, In<T> x, MlpSaved<T>& saved, Out<T> y) {
  const Routing& routing = saved.router.routing;
  const int64_t slots = routing.slots(), width = config_.expert_width;
  const Out<T> slot_x = saved.slot_x.shape(slots, x.cols);
  const Out<T> ab = saved.slot_ab.shape(slots, 2 * width);
  const Out<T> h = saved.slot_h.shape(slots, width), scaled = saved.slot_scaled.shape(slots, width);
  const Out<T> weight = saved.slot_weight.shape(slots, 1);
  gather_slots(ops, routing, x, slot_x);
  for (int64_t slot = 0; slot < slots; ++slot) {
    const auto s = static_cast<size_t>(slot);
    weight.data[slot] =
        saved.router.weights.view().row(routing.slot_token[s])[routing.slot_choice[s]];
  }
  Borrowed<T> buffer(ops);
  const Out<T> out = buffer.shape(slots, x.cols);
  std::vector<Product<T>> up, down;
  for (int64_t e = 0; e < routing.experts; ++e) {
    const int64_t first = routing.first[static_cast<size_t>(e)], count = routing.load(e);
    if (count == 0) continue;
    const GluWeights<T>& expert = weights_.experts[static_cast<size_t>(e)];
    up.push_back({Form::kNT, slot_x.row_range(first, count), expert.gate_up.w,
                  ab.row_range(first, count), false});
    down.push_back({Form::kNT, scaled.row_range(first, count), expert.down.w,
                    out.row_range(first, count), false});
  }
  ops.products(up, true);
  glu_forward<T>(ops, ab, weight.data, h, scaled);
  ops.products(down, true);
  combine_slots<T>(ops, routing, out, y);
}

template <typename T>
void Mlp<T>::experts_backward(Ops<T>& ops, In<T> dy, MlpSaved<T>& saved, Out<T> d_weights,
                              Out<T> dx) {
  const Routing& routing = saved.router.routing;
  const int64_t slots = routing.slots(), width = config_.expert_width;
  Borrowed<T> dy_buffer(ops), dh_buffer(ops), dab_buffer(ops), dx_buffer(ops), dw_buffer(ops);
  const Out<T> slot_dy = dy_buffer.shape(slots, dy.cols), dh = dh_buffer.shape(slots, width);
  const Out<T> dab = dab_buffer.shape(slots, 2 * width), slot_dx = dx_buffer.shape(slots, dy.cols);
  const Out<T> dw = dw_buffer.shape(slots, 1);
  gather_slots(ops, routing, dy, slot_dy);
  std::vector<Product<T>> down, up;
  for (int64_t e = 0; e < routing.experts; ++e) {
    const int64_t first = routing.first[static_cast<size_t>(e)], count = routing.load(e);
    if (count == 0) continue;
    const GluWeights<T>& expert = weights_.experts[static_cast<size_t>(e)];
    const auto part = [&](const Out<T>& all) { return all.row_range(first, count); };
    down.push_back({Form::kNN, part(slot_dy), expert.down.w, part(dh), false});
    if (expert.down.grad.data != nullptr) {
      down.push_back(
          {Form::kTN, part(slot_dy), part(saved.slot_scaled.view()), expert.down.grad, true});
    }
    up.push_back({Form::kNN, part(dab), expert.gate_up.w, part(slot_dx), false});
    if (expert.gate_up.grad.data != nullptr) {
      up.push_back({Form::kTN, part(dab), part(saved.slot_x.view()), expert.gate_up.grad, true});
    }
  }
  ops.products(down, true);
  glu_backward<T>(ops, dh, saved.slot_ab.view(), saved.slot_h.view(), saved.slot_weight.data(),
                  dw.data, dab);
  ops.products(up, true);
  combine_slots<T>(ops, routing, slot_dx, dx);
  for (int64_t slot = 0; slot < slots; ++slot) {
    const auto s = static_cast<size_t>(slot);
    d_weights.row(routing.slot_token[s])[routing.slot_choice[s]] = dw.data[slot];
  }
}

template <typename T>
void Mlp<T>::always_forward(Ops<T>& ops, In<T> x, MlpSaved<T>& saved, Out<T> y) {
  const GluWeights<T>& unit = weights_.always;
  const int64_t width = unit.down.w.cols;
  const Out<T> ab = saved.ab.shape(x.rows, 2 * width), h = saved.h.shape(x.rows, width);
  linear_forward(ops, x, unit.gate_up.w, ab, true);
  if (!weights_.moe) {
    glu_forward<T>(ops, ab, nullptr, h, h);
    linear_forward<T>(ops, h, unit.down.w, y, true);
    return;
  }
  const Out<T> scaled = saved.scaled.shape(x.rows, width), gate = saved.gate.shape(x.rows, 1);
  const Out<T> logits = saved.router.logits.view();
  for (int64_t t = 0; t < x.rows; ++t) gate.data[t] = sigmoid(logits.row(t)[config_.experts]);
  glu_forward<T>(ops, ab, gate.data, h, scaled);
  linear_forward<T>(ops, scaled, unit.down.w, y, true, true);
}

template <typename T>
void Mlp<T>::always_backward(Ops<T>& ops, In<T> dy, In<T> x, MlpSaved<T>& saved, T* d_gate,
                             Out<T> dx) {
  const GluWeights<T>& unit = weights_.always;
  const int64_t width = unit.down.w.cols;
  Borrowed<T> dh_buffer(ops), dab_buffer(ops);
  const Out<T> dh = dh_buffer.shape(x.rows, width), dab = dab_buffer.shape(x.rows, 2 * width);
  const bool scaled = weights_.moe;
  linear_backward<T>(ops, dy, scaled ? saved.scaled.view() : saved.h.view(), unit.down, dh, false,
                     true);
  glu_backward<T>(ops, dh, saved.ab.view(), saved.h.view(), scaled ? saved.gate.data() : nullptr,
                  d_gate, dab);
  linear_backward<T>(ops, dab, x, unit.gate_up, dx, scaled, true);
}

template <typename T>
void Mlp<T>::forward(Ops<T>& ops, const BatchLayout& layout, In<T> x, MlpSaved<T>& saved,
                     Out<T> y) {
  if (!weights_.moe) {
    always_forward(ops, x, saved, y);
    return;
  }
  linear_forward(ops, x, weights_.router.w,
                 saved.router.logits.shape(x.rows, weights_.router.w.rows), false);
  route(ops, layout, config_.experts, config_.experts_per_token, config_.renormalise, saved.router);
  experts_forward(ops, x, saved, y);
  if (shared()) always_forward(ops, x, saved, y);
}

template <typename T>
void Mlp<T>::backward(Ops<T>& ops, const BatchLayout& layout, In<T> dy, In<T> x, MlpSaved<T>& saved,
                      const RouterLossGradient<T>& losses, bool freeze, Out<T> dx) {
  if (!weights_.moe) {
    always_backward(ops, dy, x, saved, nullptr, dx);
    return;
  }
  Borrowed<T> weights_buffer(ops), logits_buffer(ops), gate_buffer(ops);
  const Out<T> d_weights = weights_buffer.zeros(x.rows, config_.experts_per_token);
  const Out<T> d_logits = logits_buffer.shape(x.rows, weights_.router.w.rows);
  experts_backward(ops, dy, saved, d_weights, dx);
  route_backward<T>(ops, layout, config_.renormalise, saved.router, d_weights, losses, d_logits);
  if (shared()) {
    const Out<T> d_gate = gate_buffer.shape(x.rows, 1);
    always_backward(ops, dy, x, saved, d_gate.data, dx);
    for (int64_t t = 0; t < x.rows; ++t) {
      const T s = saved.gate.data()[t];
      d_logits.row(t)[config_.experts] = d_gate.data[t] * s * (T(1) - s);
    }
  }
  ops.product({Form::kNN, d_logits, weights_.router.w, dx, true}, false);
  if (freeze) return;
  ops.product({Form::kTN, d_logits, x, weights_.router.grad, true}, false);
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace headgate
