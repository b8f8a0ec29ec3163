// Trunk, losses and MTP module of one micro-batch.
#include "train/network.h"

#include <algorithm>

#include "train/layers/embedding.h"
#include "train/layers/norms.h"
#include "train/mtp.h"

namespace headgate {
namespace {

// Predictions `ahead` tokens from each position.
std::vector<Target> targets_of(const BatchLayout& layout, int64_t ahead) {
  std::vector<Target> out;
  for (int64_t t = 0; t < layout.size(); ++t) {
    if (!layout.has(t, ahead)) continue;
    const auto i = static_cast<size_t>(t + ahead);
    if (layout.weights[i] > 0) out.push_back({t, layout.tokens[i], layout.weights[i]});
  }
  return out;
}

}  // namespace

std::array<double, kMaxLosses> target_weights(const BatchLayout& layout, int64_t mtp_steps) {
  std::array<double, kMaxLosses> sums = {};
  for (int64_t loss = 0; loss <= mtp_steps; ++loss) {
    for (const Target& target : targets_of(layout, loss + 1)) {
      sums[static_cast<size_t>(loss)] += static_cast<double>(target.weight);
    }
  }
  return sums;
}

template <typename T>
struct Network<T>::Impl {
  T eps = 0;
  Weight<T> embedding, final_norm, head;
  std::vector<DecoderLayer<T>> layers;
  std::optional<MtpModule<T>> mtp;
  RopeTable rope;
  Rotation<T> rotation;

  // Of the last forward pass.
  BatchLayout layout;
  std::vector<int32_t> ids;  // -1 for padding
  bool recompute = false;
  int64_t mtp_steps = 0;
  std::vector<Buffer<T>> inputs;                      // of each layer, and the last one's output
  std::vector<std::unique_ptr<LayerSaved<T>>> saved;  // one in all with recompute
  std::vector<RouterSums> sums;
  Buffer<T> hidden, inverse, d_hidden;

  LayerSaved<T>& saved_of(size_t layer) { return *saved[recompute ? 0 : layer]; }

  void forward_layer(Ops<T>& ops, size_t layer) {
    const Out<T> x = inputs[layer].view();
    layers[layer].forward({ops, layout, rotation}, x, saved_of(layer),
                          inputs[layer + 1].shape(x.rows, x.cols));
  }

  void chain(const std::vector<Target>& targets, const std::vector<TargetResult>& results,
             size_t step, std::vector<uint8_t>& right, LossSums& total) const {
    for (size_t i = 0; i < targets.size(); ++i) {
      uint8_t& so_far = right[static_cast<size_t>(targets[i].row)];
      if (so_far == 0) continue;
      ++total.drafts[step];
      so_far = results[i].best == targets[i].token ? 1 : 0;
      total.accepted[step] += so_far;
    }
  }
};

template <typename T>
Network<T>::Network(const ModelConfig& config, const NetworkRanges& r, const T* w, T* g)
    : impl_(std::make_unique<Impl>()) {
  impl_->eps = static_cast<T>(config.norm_eps);
  impl_->embedding = weight_at(r.embedding, w, g);
  impl_->final_norm = weight_at(r.final_norm, w, g);
  impl_->head = weight_at(r.head, w, g);
  for (const LayerRanges& layer : r.layers) impl_->layers.emplace_back(config, layer, w, g);
  if (r.mtp) impl_->mtp.emplace(config, r, w, g);
  impl_->rope = make_rope_table(config.rope, config.attention.rotary_dims);
  impl_->inputs.resize(r.layers.size() + 1);
}

template <typename T>
Network<T>::~Network() = default;

template <typename T>
int64_t Network<T>::routers() const {
  int64_t count = 0;
  for (const DecoderLayer<T>& layer : impl_->layers) count += layer.moe() ? 1 : 0;
  return count + (impl_->mtp && impl_->mtp_steps > 0 && impl_->mtp->moe() ? 1 : 0);
}

template <typename T>
void Network<T>::forward(Ops<T>& ops, const BatchLayout& layout, int64_t mtp_steps,
                         bool recompute) {
  Impl& s = *impl_;
  HEADGATE_CHECK(mtp_steps == 0 || s.mtp);
  s.layout = layout;
  s.recompute = recompute;
  s.mtp_steps = mtp_steps;
  const int64_t n = layout.size(), width = s.embedding.w.cols;
  s.ids = layout.tokens;
  for (size_t t = 0; t < s.ids.size(); ++t) {
    if (layout.active[t] == 0) s.ids[t] = -1;
  }
  const int32_t last = *std::max_element(layout.positions.begin(), layout.positions.end());
  s.rotation.prepare(s.rope, last + 1 + kMaxMtpSteps);
  const size_t kept = recompute ? 1 : s.layers.size();
  while (s.saved.size() < kept) s.saved.push_back(std::make_unique<LayerSaved<T>>());
  embedding_forward<T>(ops, s.ids, s.embedding.w, s.inputs[0].shape(n, width));
  s.sums.clear();
  for (size_t layer = 0; layer < s.layers.size(); ++layer) {
    s.forward_layer(ops, layer);
    if (s.layers[layer].moe()) {
      s.sums.push_back(headgate::router_sums(layout, s.saved_of(layer).mlp.router));
    }
  }
  const Out<T> hidden = s.hidden.shape(n, width);
  rms_norm_forward<T>(ops, In<T>(s.inputs.back().view()), s.final_norm.w.data, s.eps, hidden,
                      s.inverse.shape(n, 1).data);
  s.d_hidden.zeros(n, width);
  if (mtp_steps == 0) return;
  s.mtp->forward(ops, layout, s.rotation, s.embedding.w, hidden, mtp_steps);
  if (s.mtp->moe()) s.sums.push_back(s.mtp->router_sums());
}

template <typename T>
std::vector<RouterSums> Network<T>::router_sums() const {
  return impl_->sums;
}

template <typename T>
void Network<T>::losses(Ops<T>& ops, const std::array<double, kMaxLosses>& scales, LossSums& sums,
                        const TokenLossSink& sink) {
  Impl& s = *impl_;
  std::vector<uint8_t> right(static_cast<size_t>(s.layout.size()), 1);
  for (int64_t step = 0; step <= s.mtp_steps; ++step) {
    const auto i = static_cast<size_t>(step);
    const std::vector<Target> targets = targets_of(s.layout, step + 1);
    std::vector<TargetResult> results(targets.size());
    const Out<T> states = step == 0 ? s.hidden.view() : s.mtp->output(step);
    const Out<T> gradient = step == 0 ? s.d_hidden.view() : s.mtp->output_gradient(step);
    sums.loss[i] += cross_entropy<T>(ops, states, s.head, targets, static_cast<T>(scales[i]),
                                     gradient, results);
    for (const Target& target : targets) sums.weight[i] += static_cast<double>(target.weight);
    if (step > 0) {
      s.chain(targets, results, i - 1, right, sums);
    } else if (sink) {
      for (size_t t = 0; t < targets.size(); ++t) {
        const int64_t token = targets[t].row + 1;
        sink(token / s.layout.length, token % s.layout.length, static_cast<float>(results[t].loss));
      }
    }
  }
}

template <typename T>
void Network<T>::backward(Ops<T>& ops, const std::vector<RouterLossGradient<T>>& routers,
                          const BackwardOptions& options) {
  Impl& s = *impl_;
  HEADGATE_CHECK(static_cast<int64_t>(routers.size()) == this->routers());
  size_t router = routers.size();
  const RouterLossGradient<T> none;
  const auto next = [&](bool moe) -> const RouterLossGradient<T>& {
    return moe ? routers[--router] : none;
  };
  const Out<T> d = s.d_hidden.view();
  if (s.mtp_steps > 0) {
    s.mtp->backward(ops, s.rotation, s.hidden.view(), next(s.mtp->moe()), options.freeze_router,
                    s.embedding.grad, options.mtp_reaches_trunk ? d : Out<T>());
  }
  rms_norm_backward<T>(ops, In<T>(d), In<T>(s.inputs.back().view()), s.final_norm.w.data,
                       s.inverse.data(), d, false, s.final_norm.grad.data);
  for (size_t layer = s.layers.size(); layer-- > 0;) {
    if (s.recompute) s.forward_layer(ops, layer);
    s.layers[layer].start_backward(s.saved_of(layer), s.layout.size());
    s.layers[layer].backward({ops, s.layout, s.rotation}, s.inputs[layer].view(), s.saved_of(layer),
                             next(s.layers[layer].moe()), options.freeze_router, d);
  }
  if (s.embedding.grad.data != nullptr) {
    embedding_backward<T>(ops, s.ids, d, s.embedding.grad);
  }
}

template class Network<float>;
template class Network<double>;

}  // namespace headgate
