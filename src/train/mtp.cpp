// Steps of the MTP module, forward in order, backward in reverse.
#include "train/mtp.h"

#include "train/layers/embedding.h"
#include "train/layers/norms.h"

namespace headgate {

template <typename T>
MtpModule<T>::MtpModule(const ModelConfig& config, const NetworkRanges& r, const T* w, T* g)
    : eps_(static_cast<T>(config.norm_eps)),
      input_(weight_at(r.mtp_input, w, g)),
      embedding_norm_(weight_at(r.mtp_embedding_norm, w, g)),
      hidden_norm_(weight_at(r.mtp_hidden_norm, w, g)),
      final_norm_(weight_at(r.mtp_final_norm, w, g)),
      layer_(config, r.mtp_layer, w, g) {}

template <typename T>
std::vector<AttentionSaved<T>*> MtpModule<T>::before(int64_t step) const {
  std::vector<AttentionSaved<T>*> out;
  for (int64_t s = 1; s < step; ++s) out.push_back(&saved(s).layer.attention);
  return out;
}

template <typename T>
void MtpModule<T>::forward(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation,
                           In<T> embedding, In<T> hidden, int64_t steps) {
  count_ = steps;
  while (static_cast<int64_t>(steps_.size()) < steps) steps_.push_back(std::make_unique<Step>());
  for (int64_t s = 1; s <= steps; ++s) {
    const In<T> previous = s == 1 ? hidden : In<T>(output(s - 1));
    forward_step(ops, layout, rotation, embedding, previous, s);
  }
}

template <typename T>
void MtpModule<T>::forward_step(Ops<T>& ops, const BatchLayout& layout, const Rotation<T>& rotation,
                                In<T> embedding, In<T> previous, int64_t step) {
  Step& s = saved(step);
  const int64_t n = previous.rows, hidden = previous.cols;
  s.layout = layout;
  s.ids.assign(static_cast<size_t>(n), -1);
  for (int64_t t = 0; t < n; ++t) {
    const auto i = static_cast<size_t>(t);
    s.layout.active[i] = layout.has(t, step) ? 1 : 0;
    if (s.layout.active[i] != 0) s.ids[i] = layout.tokens[static_cast<size_t>(t + step)];
  }
  const Out<T> embedded = s.embedded.shape(n, hidden), joined = s.joined.shape(n, 2 * hidden);
  embedding_forward(ops, s.ids, embedding, embedded);
  rms_norm_forward<T>(ops, In<T>(embedded), embedding_norm_.w.data, eps_, joined.columns(0, hidden),
                      s.e_inverse.shape(n, 1).data);
  rms_norm_forward<T>(ops, previous, hidden_norm_.w.data, eps_, joined.columns(hidden, hidden),
                      s.h_inverse.shape(n, 1).data);
  const Out<T> x = s.x.shape(n, hidden), y = s.y.shape(n, hidden);
  linear_forward<T>(ops, joined, input_.w, x, true);
  layer_.forward({ops, s.layout, rotation, step - 1, before(step)}, x, s.layer, y);
  rms_norm_forward<T>(ops, In<T>(y), final_norm_.w.data, eps_, s.m.shape(n, hidden),
                      s.m_inverse.shape(n, 1).data);
  s.d_m.zeros(n, hidden);
}

template <typename T>
RouterSums MtpModule<T>::router_sums() const {
  RouterSums sums;
  for (int64_t s = 1; s <= count_; ++s) {
    sums.add(headgate::router_sums(saved(s).layout, saved(s).layer.mlp.router));
  }
  return sums;
}

template <typename T>
void MtpModule<T>::backward(Ops<T>& ops, const Rotation<T>& rotation, In<T> hidden,
                            const RouterLossGradient<T>& losses, bool freeze_router,
                            Out<T> d_embedding, Out<T> d_hidden) {
  for (int64_t s = 1; s <= count_; ++s) layer_.start_backward(saved(s).layer, hidden.rows);
  for (int64_t s = count_; s >= 1; --s) {
    const In<T> previous = s == 1 ? hidden : In<T>(output(s - 1));
    const Out<T> d_previous = s == 1 ? d_hidden : output_gradient(s - 1);
    backward_step(ops, rotation, previous, s, losses, freeze_router, d_embedding, d_previous);
  }
}

template <typename T>
void MtpModule<T>::backward_step(Ops<T>& ops, const Rotation<T>& rotation, In<T> previous,
                                 int64_t step, const RouterLossGradient<T>& losses,
                                 bool freeze_router, Out<T> d_embedding, Out<T> d_previous) {
  Step& s = saved(step);
  const int64_t n = previous.rows, hidden = previous.cols;
  const Out<T> d = s.d_m.view();
  rms_norm_backward<T>(ops, In<T>(d), In<T>(s.y.view()), final_norm_.w.data, s.m_inverse.data(), d,
                       false, final_norm_.grad.data);
  layer_.backward({ops, s.layout, rotation, step - 1, before(step)}, s.x.view(), s.layer, losses,
                  freeze_router, d);
  Borrowed<T> buffer(ops);
  const Out<T> d_joined = buffer.shape(n, 2 * hidden);
  linear_backward<T>(ops, d, s.joined.view(), input_, d_joined, false, true);
  rms_norm_backward<T>(ops, In<T>(d_joined.columns(0, hidden)), In<T>(s.embedded.view()),
                       embedding_norm_.w.data, s.e_inverse.data(), d, false,
                       embedding_norm_.grad.data);
  if (d_embedding.data != nullptr) embedding_backward<T>(ops, s.ids, d, d_embedding);
  const bool wanted = d_previous.data != nullptr;
  rms_norm_backward<T>(ops, In<T>(d_joined.columns(hidden, hidden)), previous, hidden_norm_.w.data,
                       s.h_inverse.data(), wanted ? d_previous : d, wanted, hidden_norm_.grad.data);
}

template class MtpModule<float>;
template class MtpModule<double>;

}  // namespace headgate
