// All weights of a network in one array: where each lies, what checkpoints call it, how it starts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace headgate {

// Decides weight decay and which optimiser: see OptimizerConfig.
enum class ParameterKind : uint8_t {
  kHiddenMatrix,  // decay; Muon when asked for
  kTable,         // decay; embeddings, output head, router and gates: always AdamW
  kCentredNorm,   // decay towards a scale of 1
  kOther          // none: A_log, dt_bias, convolutions, gated norm
};

// One named tensor inside the array.
struct ParameterSlice {
  std::string name;  // Hugging Face
  Part part = Part::kEmbedding;
  std::vector<int64_t> shape;
  int64_t offset = 0, count = 0;
  ParameterKind kind = ParameterKind::kOther;
};

// A matrix the layers multiply with: one slice, or several stacked by rows.
struct MatrixRange {
  int64_t offset = 0, rows = 0, cols = 0;
  bool frozen = false;  // no gradient is made
};

struct GluRanges {
  MatrixRange gate_up, down;
};

struct LayerRanges {
  Mixer mixer = Mixer::kAttention;
  bool moe = false;
  MatrixRange mixer_norm, mlp_norm;
  MatrixRange qkv, query_norm, key_norm, attention_out;               // attention
  MatrixRange delta_in, conv, decay, dt_bias, delta_norm, delta_out;  // gated delta net
  MatrixRange router;
  GluRanges always;
  std::vector<GluRanges> experts;
};

struct NetworkRanges {
  MatrixRange embedding, final_norm, head;  // head is the embedding when tied
  std::vector<LayerRanges> layers;
  bool mtp = false;
  MatrixRange mtp_input, mtp_embedding_norm, mtp_hidden_norm, mtp_final_norm;
  LayerRanges mtp_layer;
};

struct ParameterMap {
  NetworkRanges ranges;
  std::vector<ParameterSlice> slices;  // in order of their offsets
  int64_t size = 0;                    // of the array; a few numbers between slices are unused
  int64_t count = 0;                   // of parameters
};

// mtp_layers of the configuration says whether there is a module.
ParameterMap make_parameter_map(const ModelConfig& config);

// First weights of one slice: normal with deviation 0.02, router rows of equal length, norms at a
// scale of 1, decays of 0.5..8 with steps of 0.001..0.1 (log-uniform). The same seed gives the same
// bits on every machine and thread count.
void initialise(const ParameterSlice& slice, uint64_t seed, float* values);

}  // namespace headgate
