// What a decoder is made of: sizes and switches read from config.json or GGUF metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "model/tensor_names.h"

namespace headgate {

struct Checkpoint;

enum class Mixer : uint8_t { kAttention, kGatedDelta };

struct AttentionConfig {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  bool output_gate = false;  // q_proj yields, per head, the query and its gate
  int64_t rotary_dims = 0;
};

struct RopeConfig {
  double theta = 10000.0;
  bool yarn = false;
  double factor = 1.0;
  int64_t original_context = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  std::optional<double> attention_factor;
  bool truncate = true;  // YaRN's ramp starts and ends at whole dimensions
};

struct GatedDeltaConfig {
  DeltaShape shape;
  int64_t conv_kernel = 4;
  int64_t key_width() const { return shape.key_heads * shape.key_dim; }
  int64_t value_width() const { return shape.value_heads * shape.value_dim; }
  int64_t conv_channels() const { return 2 * key_width() + value_width(); }
};

struct MoeConfig {
  int64_t experts = 0;  // 0: no layer routes
  int64_t experts_per_token = 0;
  int64_t expert_width = 0;
  int64_t shared_width = 0;  // 0: no shared expert
  bool renormalise = true;
};

struct ModelConfig {
  std::string family;  // "qwen3_next": the model_type of config.json
  int64_t vocabulary = 0;
  int64_t hidden_size = 0;
  int64_t layers = 0;
  int64_t dense_width = 0;
  int64_t context_length = 0;
  float norm_eps = 1e-6f;
  bool zero_centered_norm = false;  // norm weights are stored as (scale - 1)
  bool tied_embeddings = false;
  std::vector<Mixer> mixers;     // one per layer
  std::vector<bool> moe_layers;  // one per layer; false: dense MLP
  AttentionConfig attention;
  RopeConfig rope;
  GatedDeltaConfig delta;
  MoeConfig moe;
  int64_t mtp_layers = 0;           // multi-token-prediction modules in the checkpoint
  std::vector<int32_t> eos_tokens;  // from generation_config / config / GGUF
  std::optional<int32_t> bos_token, pad_token;

  int64_t attention_layers() const;
  int64_t recurrent_layers() const;
};

// Reads the configuration with the family named by the checkpoint. Throws kUnsupported for an
// unknown family and kInvalidFile for a missing, malformed or contradictory value (file, key,
// found, expected).
ModelConfig read_model_config(const Checkpoint& checkpoint);

// How the checkpoint the configuration was read from names its tensors, and the GGUF architecture
// ("qwen3next") of the family.
Naming tensor_naming(const ModelConfig& config, const Checkpoint& checkpoint);
std::string_view gguf_architecture(const ModelConfig& config);

// Inverse frequencies and scale of a rope configuration, YaRN included.
RopeTable make_rope_table(const RopeConfig& rope, int64_t rotary_dims);

// Parameter and memory counts of a configuration, for `inspect` and load-time checks.
struct ModelSize {
  int64_t parameters = 0;         // trunk, both embedding tables
  int64_t active_parameters = 0;  // read per token, lm_head included, embedding row excluded
  int64_t mtp_parameters = 0;
  int64_t embedding = 0, lm_head = 0, delta_projections = 0, attention_projections = 0, router = 0,
          shared_expert = 0, routed_experts = 0, routed_experts_active = 0, dense_mlp = 0,
          norms = 0;
  int64_t kv_values_per_token = 0;            // numbers, all attention layers
  int64_t delta_values = 0, conv_values = 0;  // numbers per sequence
};
ModelSize model_size(const ModelConfig& config);

// Bytes one sequence needs for `context` tokens; delta and convolution states are fp32. With
// drafts, the updates of up to `draft_rows` tokens are set aside and the MTP module keeps keys and
// values.
struct StateSize {
  int64_t kv_bytes_per_token = 0;
  int64_t kv_bytes = 0;  // of the whole context
  int64_t delta_bytes = 0;
  int64_t conv_bytes = 0;
  int64_t draft_bytes = 0;
  int64_t total() const { return kv_bytes + delta_bytes + conv_bytes + draft_bytes; }
};
StateSize state_size(const ModelConfig& config, DType kv_dtype, int64_t context,
                     int64_t draft_rows = 0);

}  // namespace headgate
