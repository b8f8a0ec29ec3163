// Attention with normed queries and keys, rotary positions and an optional output gate.
#include <cmath>

#include "model/layers/layers.h"

namespace headgate {

void attention(Step& step, const AttentionWeights& w, int64_t layer, View x, MutView y) {
  Backend& b = step.backend;
  const AttentionConfig& c = step.config.attention;
  const ScratchScope scope(step.buffers.scratch);
  const int64_t dim = c.head_dim;
  const int64_t query_stride = c.output_gate ? 2 * dim : dim;  // a gate follows each head's query
  const MutView q = step.take(c.heads * query_stride);
  const MutView k = step.take(c.kv_heads * dim);
  const MutView v = step.take(c.kv_heads * dim);
  const MutView o = step.take(c.heads * dim);
  const LinearPart parts[] = {{q, w.query.get()}, {k, w.key.get()}, {v, w.value.get()}};
  b.linear_group(parts, x);

  // Every head is a row of its own: [tokens * heads, head_dim].
  const MutView q_heads{q.data, step.tokens * c.heads, dim, query_stride};
  const MutView k_heads{k.data, step.tokens * c.kv_heads, dim};
  const MutView o_heads{o.data, step.tokens * c.heads, dim};
  b.rms_norm(q_heads, q_heads, w.query_norm, step.config.norm_eps);
  b.rms_norm(k_heads, k_heads, w.key_norm, step.config.norm_eps);
  const RopePart rotated[] = {{q, c.heads, query_stride}, {k, c.kv_heads, dim}};
  b.rope(rotated, step.rope());
  step.emit("q_rot", q_heads);
  step.emit("k_rot", k);
  step.emit("v", v);

  const KvLayout layout = step.kv_layout();
  const std::span<const KvSpan> spans = step.kv(layer);
  b.kv_store(k, v, layout, spans);
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim)));
  b.attention(o, q, c.heads, query_stride, scale, layout, spans);
  step.emit("attn", o);
  if (c.output_gate) {
    const View gate{q.data + dim, step.tokens * c.heads, dim, query_stride};
    b.sigmoid_gate(o_heads, gate);
    step.emit("gate", gate);
    step.emit("gated", o);
  }
  b.linear(y, o, *w.out);
}

void attention_keys(Step& step, const AttentionWeights& w, int64_t layer, View x) {
  Backend& b = step.backend;
  const AttentionConfig& c = step.config.attention;
  const ScratchScope scope(step.buffers.scratch);
  const MutView k = step.take(c.kv_heads * c.head_dim), v = step.take(c.kv_heads * c.head_dim);
  const LinearPart parts[] = {{k, w.key.get()}, {v, w.value.get()}};
  b.linear_group(parts, x);
  const MutView k_heads{k.data, step.tokens * c.kv_heads, c.head_dim};
  b.rms_norm(k_heads, k_heads, w.key_norm, step.config.norm_eps);
  const RopePart rotated[] = {{k, c.kv_heads, c.head_dim}};
  b.rope(rotated, step.rope());
  b.kv_store(k, v, step.kv_layout(), step.kv(layer));
}

}  // namespace headgate
