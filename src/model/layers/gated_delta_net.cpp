// The gated delta net of Qwen3-Next: short convolution, delta rule, gated norm.
#include <cmath>

#include "model/layers/layers.h"

namespace headgate {
namespace {

// Every head of x [tokens, heads * dim] to length `scale`. Heads of one token are not `stride`
// apart when x is part of a wider matrix, so one call covers a token or a head, whichever are
// fewer.
void l2_norm_heads(Backend& b, MutView x, int64_t dim, float scale) {
  const int64_t heads = x.cols / dim;
  if (x.rows <= heads) {
    for (int64_t t = 0; t < x.rows; ++t) {
      const MutView token{x.row(t), heads, dim};
      b.l2_norm(token, token, scale);
    }
    return;
  }
  for (int64_t head = 0; head < heads; ++head) {
    const MutView column = x.columns(head * dim, dim);
    b.l2_norm(column, column, scale);
  }
}

// The steps of the backend's fused op one by one, for a trace to hear what lies between.
void traced_steps(Step& step, const DeltaNetParams& p, const DeltaNetInputs& in, MutView o,
                  std::span<const RecurrentSpan> spans) {
  Backend& b = step.backend;
  const GatedDeltaConfig& c = step.config.delta;
  const DeltaShape& shape = c.shape;
  const ScratchScope scope(step.buffers.scratch);
  const MutView mixed = step.take(c.conv_channels());
  const MutView beta = step.take(shape.value_heads);
  const MutView g = step.take(shape.value_heads);
  const MutView core = step.take(c.value_width());
  step.emit("qkv_preconv", in.qkv);
  b.causal_conv1d_silu(mixed, in.qkv, p.conv, p.kernel, spans);
  step.emit("conv_silu", mixed);
  const MutView q = mixed.columns(0, c.key_width());
  const MutView k = mixed.columns(c.key_width(), c.key_width());
  const MutView v = mixed.columns(2 * c.key_width(), c.value_width());
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.key_dim)));
  l2_norm_heads(b, q, shape.key_dim, scale);
  l2_norm_heads(b, k, shape.key_dim, 1.0f);
  b.delta_gates(beta, g, in.b, in.a, p.neg_exp_a, p.dt_bias);
  step.emit("q", q);
  step.emit("k", k);
  step.emit("v", v);
  step.emit("z", in.z);
  step.emit("beta", beta);
  step.emit("g", g);
  b.gated_delta_rule(core, q, k, v, beta, g, shape, spans);
  step.emit("core", core);
  const int64_t rows = step.tokens * shape.value_heads;  // every head normed on its own
  b.gated_rms_norm({o.data, rows, shape.value_dim}, {core.data, rows, shape.value_dim},
                   {in.z.data, rows, shape.value_dim}, p.norm, p.eps);
}

}  // namespace

void gated_delta_net(Step& step, const GatedDeltaWeights& w, int64_t layer, View x, MutView y) {
  Backend& b = step.backend;
  const GatedDeltaConfig& c = step.config.delta;
  const ScratchScope scope(step.buffers.scratch);
  const MutView qkv = step.take(c.conv_channels());  // side by side
  const MutView z = step.take(c.value_width());
  const MutView beta = step.take(c.shape.value_heads);
  const MutView decay = step.take(c.shape.value_heads);
  const MutView o = step.take(c.value_width());
  const LinearPart parts[] = {
      {qkv, w.qkv.get()}, {z, w.z.get()}, {beta, w.b.get()}, {decay, w.a.get()}};
  b.linear_group(parts, x);

  const DeltaNetParams params{c.shape,   w.conv, c.conv_kernel,       w.neg_exp_a,
                              w.dt_bias, w.norm, step.config.norm_eps};
  const DeltaNetInputs in{qkv, z, beta, decay};
  const std::span<const RecurrentSpan> spans = step.recurrent(layer);
  if (step.trace != nullptr) {
    traced_steps(step, params, in, o, spans);
  } else {
    b.gated_delta_net(o, in, params, spans);
  }
  step.emit("normed", o);
  b.linear(y, o, *w.out);
}

}  // namespace headgate
