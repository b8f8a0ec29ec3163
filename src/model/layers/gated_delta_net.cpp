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

}  // namespace

void gated_delta_net(Step& step, const GatedDeltaWeights& w, int64_t layer, View x, MutView y) {
  Backend& b = step.backend;
  const GatedDeltaConfig& c = step.config.delta;
  const DeltaShape& shape = c.shape;
  const ScratchScope scope(step.buffers.scratch);
  const MutView inputs = step.take(c.conv_channels());  // q, k, v side by side
  const MutView mixed = step.take(c.conv_channels());
  const MutView z = step.take(c.value_width());
  const MutView beta = step.take(shape.value_heads);
  const MutView g = step.take(shape.value_heads);
  const MutView o = step.take(c.value_width());
  b.linear(inputs, x, *w.qkv);
  b.linear(z, x, *w.z);
  b.linear(beta, x, *w.b);
  b.linear(g, x, *w.a);
  step.emit("qkv_preconv", inputs);

  const std::span<const RecurrentSpan> spans = step.recurrent(layer);
  b.causal_conv1d_silu(mixed, inputs, w.conv, c.conv_kernel, spans);
  step.emit("conv_silu", mixed);
  const MutView q = mixed.columns(0, c.key_width());
  const MutView k = mixed.columns(c.key_width(), c.key_width());
  const MutView v = mixed.columns(2 * c.key_width(), c.value_width());
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.key_dim)));
  l2_norm_heads(b, q, shape.key_dim, scale);
  l2_norm_heads(b, k, shape.key_dim, 1.0f);
  b.delta_gates(beta, g, beta, g, w.neg_exp_a, w.dt_bias);
  step.emit("q", q);
  step.emit("k", k);
  step.emit("v", v);
  step.emit("z", z);
  step.emit("beta", beta);
  step.emit("g", g);

  b.gated_delta_rule(o, q, k, v, beta, g, shape, spans);
  step.emit("core", o);
  const int64_t rows = step.tokens * shape.value_heads;  // every head normed on its own
  const MutView o_heads{o.data, rows, shape.value_dim};
  const View z_heads{z.data, rows, shape.value_dim};
  b.gated_rms_norm(o_heads, o_heads, z_heads, w.norm, step.config.norm_eps);
  step.emit("normed", o);
  b.linear(y, o, *w.out);
}

}  // namespace headgate
