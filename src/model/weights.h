// The weights of a decoder, in the layouts its layers compute with.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "model/config.h"

namespace headgate {

struct Checkpoint;
struct LoadOptions;

struct AttentionWeights {
  std::unique_ptr<Matrix> query, key, value,
      out;                                  // query: with an output gate, per head query then gate
  std::vector<float> query_norm, key_norm;  // [head_dim]
};

struct GatedDeltaWeights {
  std::unique_ptr<Matrix> qkv;  // [conv_channels, hidden]: q, k, v of all heads
  std::unique_ptr<Matrix> z, b, a, out;
  std::vector<float> conv;                // [conv_channels, kernel]
  std::vector<float> neg_exp_a, dt_bias;  // [value_heads]
  std::vector<float> norm;                // [value_dim]
};

struct MlpWeights {
  std::unique_ptr<Matrix> gate, up, down;
};

struct MoeWeights {
  std::unique_ptr<Matrix> router;  // [experts, hidden]
  std::unique_ptr<ExpertStack> experts;
  MlpWeights shared;                     // null when the model has no shared expert
  std::unique_ptr<Matrix> shared_scale;  // [1, hidden]
};

struct LayerWeights {
  std::vector<float> mixer_norm, mlp_norm;      // [hidden], 1 added where stored zero-centred
  std::unique_ptr<AttentionWeights> attention;  // exactly one of these two
  std::unique_ptr<GatedDeltaWeights> delta;
  std::unique_ptr<MoeWeights> moe;  // exactly one of these two
  std::unique_ptr<MlpWeights> mlp;
  int64_t state_layer = 0;  // among the layers with the same kind of mixer
};

struct MtpWeights {
  std::vector<float> embedding_norm, hidden_norm, final_norm;  // [hidden]
  std::unique_ptr<Matrix> input;                               // [hidden, 2 hidden]
  LayerWeights layer;
};

struct ModelWeights {
  std::unique_ptr<Matrix> embedding;  // [vocabulary, hidden]
  std::unique_ptr<Matrix> head;       // null when tied
  std::vector<float> final_norm;
  std::vector<LayerWeights> layers;
  std::unique_ptr<MtpWeights> mtp;  // null when absent or not wanted

  const Matrix& output() const { return head ? *head : *embedding; }
};

// Checks and loads everything; errors as in Model::load.
ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                          const LoadOptions& options);

// Bytes of all matrices, and of those that one decoded token reads.
int64_t stored_bytes(const ModelWeights& weights);
int64_t bytes_per_token(const ModelWeights& weights, const ModelConfig& config);
// The part of bytes_per_token() that is routed experts.
int64_t routed_bytes_per_token(const ModelWeights& weights, const ModelConfig& config);

}  // namespace headgate
