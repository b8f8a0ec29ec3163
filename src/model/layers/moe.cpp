// Dense MLPs and mixtures of experts.
#include <cmath>

#include "model/layers/layers.h"

namespace headgate {
namespace {

// What a trace hears about the routing, as matrices of fp32.
void emit_routing(Step& step, View logits, View shared_scale) {
  if (step.trace == nullptr) return;
  const ScratchScope scope(step.buffers.scratch);
  const int64_t k = step.config.moe.experts_per_token;
  const MutView ids = step.take(k), gate = step.take(1);
  for (int64_t i = 0; i < step.tokens * k; ++i)
    ids.data[i] = static_cast<float>(step.buffers.expert_ids[static_cast<size_t>(i)]);
  step.emit("router_logits", logits);
  step.emit("topk_index", ids);
  step.emit("topk_weight", {step.buffers.expert_weights.data(), step.tokens, k});
  if (shared_scale.cols == 0) return;
  for (int64_t t = 0; t < step.tokens; ++t)
    gate.data[t] = 1.0f / (1.0f + std::exp(-shared_scale.row(t)[0]));
  step.emit("shared_gate", gate);
}

}  // namespace

void mlp(Step& step, const MlpWeights& w, View x, MutView y) {
  Backend& b = step.backend;
  const ScratchScope scope(step.buffers.scratch);
  const MutView gate = step.take(w.gate->rows()), up = step.take(w.up->rows());
  const LinearPart parts[] = {{gate, w.gate.get()}, {up, w.up.get()}};
  b.linear_group(parts, x);
  b.swiglu(gate, gate, up);
  b.linear(y, gate, *w.down);
}

void moe(Step& step, const MoeWeights& w, View x, MutView y) {
  Backend& b = step.backend;
  const MoeConfig& c = step.config.moe;
  const ScratchScope scope(step.buffers.scratch);
  const bool shares = w.shared_scale != nullptr;
  const MutView logits = step.take(c.experts);
  const MutView scale = step.take(shares ? 1 : 0);
  const MutView gate = step.take(shares ? w.shared.gate->rows() : 0);
  const MutView up = step.take(gate.cols);
  const LinearPart parts[] = {{logits, w.router.get()},
                              {gate, w.shared.gate.get()},
                              {up, w.shared.up.get()},
                              {scale, w.shared_scale.get()}};
  b.linear_group(std::span(parts).first(shares ? 4 : 1), x);
  std::vector<int32_t>& ids = step.buffers.expert_ids;
  std::vector<float>& weights = step.buffers.expert_weights;
  ids.resize(static_cast<size_t>(step.tokens * c.experts_per_token));
  weights.resize(ids.size());
  b.route(ids, weights, logits, c.experts_per_token, c.renormalise);
  b.experts(y, x, ids, weights, c.experts_per_token, *w.experts);
  step.emit("routed", y);

  if (shares) {
    const MutView shared = step.take(step.config.hidden_size);
    b.swiglu(gate, gate, up);
    b.linear(shared, gate, *w.shared.down);
    step.emit("shared", shared);
    b.add_gated(y, shared, scale);
  }
  emit_routing(step, logits, scale);
}

}  // namespace headgate
