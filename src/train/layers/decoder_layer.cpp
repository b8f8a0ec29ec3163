// A decoder layer out of its parts.
#include "train/layers/decoder_layer.h"

#include "train/layers/norms.h"

namespace headgate {
namespace {

template <typename T>
MlpWeights<T> mlp_weights(const LayerRanges& r, const T* w, T* g) {
  const auto glu = [&](const GluRanges& ranges) {
    return GluWeights<T>{weight_at(ranges.gate_up, w, g), weight_at(ranges.down, w, g)};
  };
  MlpWeights<T> out;
  out.moe = r.moe;
  out.always = glu(r.always);
  out.router = weight_at(r.router, w, g);
  for (const GluRanges& expert : r.experts) out.experts.push_back(glu(expert));
  return out;
}

// y = a + b.
template <typename T>
void add_rows(Ops<T>& ops, In<T> a, In<T> b, Out<T> y) {
  ops.rows(y.rows, [&](int64_t first, int64_t count) {
    const int64_t from = first * y.cols, to = (first + count) * y.cols;
    for (int64_t i = from; i < to; ++i) y.data[i] = a.data[i] + b.data[i];
  });
}

}  // namespace

template <typename T>
DecoderLayer<T>::DecoderLayer(const ModelConfig& config, const LayerRanges& r, const T* w, T* g)
    : eps_(static_cast<T>(config.norm_eps)),
      mixer_norm_(weight_at(r.mixer_norm, w, g)),
      mlp_norm_(weight_at(r.mlp_norm, w, g)),
      mlp_(config, mlp_weights(r, w, g)) {
  if (r.mixer == Mixer::kAttention) {
    attention_.emplace(
        config, AttentionWeights<T>{weight_at(r.qkv, w, g), weight_at(r.query_norm, w, g),
                                    weight_at(r.key_norm, w, g), weight_at(r.attention_out, w, g)});
  } else {
    delta_.emplace(config,
                   DeltaNetWeights<T>{weight_at(r.delta_in, w, g), weight_at(r.conv, w, g),
                                      weight_at(r.decay, w, g), weight_at(r.dt_bias, w, g),
                                      weight_at(r.delta_norm, w, g), weight_at(r.delta_out, w, g)});
  }
}

template <typename T>
void DecoderLayer<T>::forward(const Pass<T>& pass, In<T> x, LayerSaved<T>& saved, Out<T> y) {
  Ops<T>& ops = pass.ops;
  const int64_t n = x.rows, hidden = x.cols;
  const Out<T> normed = saved.normed.shape(n, hidden);
  rms_norm_forward<T>(ops, x, mixer_norm_.w.data, eps_, normed, saved.inverse.shape(n, 1).data);
  if (attention_) {
    attention_->forward(ops, pass.layout, pass.rotation, pass.offset, pass.steps, normed,
                        saved.attention, y);
  } else {
    delta_->forward(ops, pass.layout, normed, saved.delta, y);
  }
  const Out<T> middle = saved.middle.shape(n, hidden);
  add_rows<T>(ops, x, y, middle);
  const Out<T> mlp_normed = saved.mlp_normed.shape(n, hidden);
  rms_norm_forward<T>(ops, In<T>(middle), mlp_norm_.w.data, eps_, mlp_normed,
                      saved.mlp_inverse.shape(n, 1).data);
  mlp_.forward(ops, pass.layout, mlp_normed, saved.mlp, y);
  add_rows<T>(ops, middle, y, y);
}

template <typename T>
void DecoderLayer<T>::start_backward(LayerSaved<T>& saved, int64_t tokens) {
  if (attention_) attention_->start_backward(saved.attention, tokens);
}

template <typename T>
void DecoderLayer<T>::backward(const Pass<T>& pass, In<T> x, LayerSaved<T>& saved,
                               const RouterLossGradient<T>& losses, bool freeze_router, Out<T> d) {
  Ops<T>& ops = pass.ops;
  Borrowed<T> buffer(ops);
  const Out<T> inner = buffer.shape(x.rows, x.cols);
  mlp_.backward(ops, pass.layout, d, saved.mlp_normed.view(), saved.mlp, losses, freeze_router,
                inner);
  rms_norm_backward<T>(ops, In<T>(inner), In<T>(saved.middle.view()), mlp_norm_.w.data,
                       saved.mlp_inverse.data(), d, true, mlp_norm_.grad.data);
  if (attention_) {
    attention_->backward(ops, pass.layout, pass.rotation, pass.offset, pass.steps, d,
                         saved.normed.view(), saved.attention, inner);
  } else {
    delta_->backward(ops, pass.layout, d, saved.normed.view(), saved.delta, inner);
  }
  rms_norm_backward<T>(ops, In<T>(inner), x, mixer_norm_.w.data, saved.inverse.data(), d, true,
                       mixer_norm_.grad.data);
}

template class DecoderLayer<float>;
template class DecoderLayer<double>;

}  // namespace headgate
