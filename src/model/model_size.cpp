// Counting parameters and state of a configuration.
#include "backend/kv_layout.h"
#include "model/config.h"

namespace headgate {
namespace {

int64_t attention_matrices(const ModelConfig& c) {
  const AttentionConfig& a = c.attention;
  const int64_t query = a.heads * a.head_dim;
  return c.hidden_size * (query * (a.output_gate ? 2 : 1) + 2 * a.kv_heads * a.head_dim + query);
}

// Input projections, convolution and output projection.
int64_t delta_matrices(const ModelConfig& c) {
  const GatedDeltaConfig& d = c.delta;
  return c.hidden_size * (d.conv_channels() + d.value_width() + 2 * d.shape.value_heads) +
         d.conv_channels() * d.conv_kernel + d.value_width() * c.hidden_size;
}

// A_log, dt_bias and the norm of the output.
int64_t delta_vectors(const ModelConfig& c) {
  return 2 * c.delta.shape.value_heads + c.delta.shape.value_dim;
}

int64_t expert(const ModelConfig& c) { return 3 * c.hidden_size * c.moe.expert_width; }

int64_t shared_expert(const ModelConfig& c) {
  return c.moe.shared_width == 0 ? 0 : 3 * c.hidden_size * c.moe.shared_width + c.hidden_size;
}

void add_mixers(const ModelConfig& c, ModelSize& s) {
  const int64_t attention = c.attention_layers(), recurrent = c.recurrent_layers();
  s.attention_projections = attention * attention_matrices(c);
  s.norms += attention * 2 * c.attention.head_dim;
  if (recurrent == 0) return;
  s.delta_projections = recurrent * delta_matrices(c);
  s.norms += recurrent * delta_vectors(c);
  const DeltaShape& d = c.delta.shape;
  s.delta_values = recurrent * d.value_heads * d.key_dim * d.value_dim;
  s.conv_values = recurrent * (c.delta.conv_kernel - 1) * c.delta.conv_channels();
}

void add_mlps(const ModelConfig& c, ModelSize& s) {
  for (const bool moe : c.moe_layers) {
    if (!moe) {
      s.dense_mlp += 3 * c.hidden_size * c.dense_width;
      continue;
    }
    s.router += c.hidden_size * c.moe.experts;
    s.shared_expert += shared_expert(c);
    s.routed_experts += c.moe.experts * expert(c);
    s.routed_experts_active += c.moe.experts_per_token * expert(c);
  }
}

int64_t mtp_module(const ModelConfig& c) {
  const int64_t mlp = c.moe.experts > 0
                          ? c.moe.experts * (expert(c) + c.hidden_size) + shared_expert(c)
                          : 3 * c.hidden_size * c.dense_width;
  const int64_t norms = 3 * c.hidden_size + 2 * c.hidden_size + 2 * c.attention.head_dim;
  return 2 * c.hidden_size * c.hidden_size + attention_matrices(c) + mlp + norms;
}

}  // namespace

ModelSize model_size(const ModelConfig& c) {
  ModelSize s;
  s.embedding = c.vocabulary * c.hidden_size;
  s.lm_head = s.embedding;
  s.norms = c.hidden_size * (2 * c.layers + 1);
  add_mixers(c, s);
  add_mlps(c, s);
  const int64_t every_token = s.delta_projections + s.attention_projections + s.router +
                              s.shared_expert + s.dense_mlp + s.norms;
  s.parameters = every_token + s.routed_experts + s.embedding + (c.tied_embeddings ? 0 : s.lm_head);
  s.active_parameters = every_token + s.routed_experts_active + s.lm_head;
  s.mtp_parameters = c.mtp_layers * mtp_module(c);
  s.kv_values_per_token = c.attention_layers() * 2 * c.attention.kv_heads * c.attention.head_dim;
  return s;
}

StateSize state_size(const ModelConfig& c, DType kv_dtype, int64_t context, int64_t draft_rows) {
  const ModelSize size = model_size(c);
  StateSize s;
  const KvLayout page{kv_dtype, c.attention.kv_heads, c.attention.head_dim};
  s.kv_bytes_per_token = c.attention_layers() * page.page_bytes() / page.page_tokens;
  s.kv_bytes = s.kv_bytes_per_token * context;
  s.delta_bytes = size.delta_values * static_cast<int64_t>(sizeof(float));
  s.conv_bytes = size.conv_values * static_cast<int64_t>(sizeof(float));
  if (draft_rows > 0) {
    s.draft_bytes = draft_rows * c.recurrent_layers() * c.delta.shape.update_floats() *
                    static_cast<int64_t>(sizeof(float));
    if (c.mtp_layers > 0) s.draft_bytes += page.page_bytes() / page.page_tokens * context;
  }
  return s;
}

}  // namespace headgate
