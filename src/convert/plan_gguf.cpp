// Hugging Face tensors to GGUF tensors. Source of the layouts: llama.cpp's converter for these
// architectures.
#include <algorithm>

#include "base/error.h"
#include "convert/delta_layout.h"
#include "convert/tensor_plan.h"

namespace headgate {
namespace {

// Builds the list for one checkpoint; layers count the trunk first, then the MTP modules.
class GgufPlanner {
 public:
  GgufPlanner(const Checkpoint& folder, const ModelConfig& config)
      : store_(folder.tensors), c_(config), naming_(tensor_naming(config, folder)) {}

  std::vector<PlannedTensor> plan(bool mtp) {
    add_same(Part::kEmbedding, 0, true);
    add_norm(Part::kFinalNorm, 0);
    if (find(Part::kLmHead, 0) != nullptr) add_same(Part::kLmHead, 0, true);
    for (int64_t layer = 0; layer < c_.layers; ++layer) {
      const auto index = static_cast<size_t>(layer);
      add_layer(layer, c_.mixers[index], c_.moe_layers[index]);
    }
    const bool moe = c_.moe.experts > 0;
    for (int64_t module = 0; mtp && module < c_.mtp_layers; ++module) {
      const int64_t layer = c_.layers + module;
      add_layer(layer, Mixer::kAttention, moe);
      add_same(Part::kMtpInput, layer, true);
      for (const Part norm : {Part::kMtpEmbeddingNorm, Part::kMtpHiddenNorm, Part::kMtpFinalNorm})
        add_norm(norm, layer);
    }
    return std::move(planned_);
  }

 private:
  const TensorEntry* find(Part part, int64_t layer, int64_t expert = 0) const {
    return store_.find(hf_tensor_name(naming_, part, layer, expert));
  }
  const TensorEntry& require(Part part, int64_t layer, int64_t expert = 0) const {
    return store_.require(hf_tensor_name(naming_, part, layer, expert));
  }

  PlannedTensor& add(Part part, int64_t layer, std::vector<int64_t> shape, bool matrix,
                     RowSource source) {
    planned_.push_back(
        {gguf_tensor_name(naming_, part, layer), std::move(shape), matrix, std::move(source)});
    return planned_.back();
  }

  void add_same(Part part, int64_t layer, bool matrix) {
    const TensorEntry& entry = require(part, layer);
    add(part, layer, entry.shape, matrix, {{&entry}, nullptr, {}, ValueTransform::kCopy});
  }

  void add_norm(Part part, int64_t layer) {
    const TensorEntry& entry = require(part, layer);
    const bool plus_one = c_.zero_centered_norm;
    add(part, layer, entry.shape, false,
        {{&entry}, nullptr, {}, plus_one ? ValueTransform::kPlusOne : ValueTransform::kCopy});
  }

  // Rows of a delta-net tensor whose value heads GGUF may tile.
  void add_heads(Part part, int64_t layer, bool matrix, int64_t offset, int64_t rows_per_head) {
    const TensorEntry& entry = require(part, layer);
    RowSource source{{&entry}, nullptr, {}, ValueTransform::kCopy};
    if (naming_.tiled_value_heads)
      source.row_map = tiled_from_natural(c_.delta.shape, offset, rows_per_head);
    add(part, layer, {entry.rows(), entry.cols()}, matrix, std::move(source));
  }

  // One number per value head: A_log, dt_bias.
  void add_head_vector(Part part, int64_t layer, ValueTransform transform) {
    const TensorEntry& entry = require(part, layer);
    RowSource source{{&entry}, nullptr, {}, transform};
    if (naming_.tiled_value_heads) {
      source.column_map = list_map(tiled_from_natural(c_.delta.shape, 0, 1), entry.elements());
    }
    add(part, layer, {entry.elements()}, false, std::move(source));
  }

  void add_layer(int64_t layer, Mixer mixer, bool moe) {
    add_norm(Part::kMixerNorm, layer);
    if (mixer == Mixer::kAttention) {
      for (const Part part : {Part::kQuery, Part::kKey, Part::kValue, Part::kAttentionOut})
        add_same(part, layer, true);
      add_norm(Part::kQueryNorm, layer);
      add_norm(Part::kKeyNorm, layer);
    } else {
      add_delta_net(layer);
    }
    add_norm(Part::kMlpNorm, layer);
    if (moe) {
      add_moe(layer);
    } else {
      for (const Part part : {Part::kMlpGate, Part::kMlpUp, Part::kMlpDown})
        add_same(part, layer, true);
    }
  }

  void add_delta_net(int64_t layer) {
    const GatedDeltaConfig& d = c_.delta;
    const int64_t qk_rows = 2 * d.key_width();
    if (const TensorEntry* fused = find(Part::kDeltaQkvz, layer)) {
      add(Part::kDeltaQkv, layer, {qk_rows + d.value_width(), fused->cols()}, true,
          {{fused}, qkv_from_grouped(d.shape), {}, ValueTransform::kCopy});
      add(Part::kDeltaZ, layer, {d.value_width(), fused->cols()}, true,
          {{fused}, z_from_grouped(d.shape), {}, ValueTransform::kCopy});
      add_same(Part::kDeltaBa, layer, true);
    } else {
      add_heads(Part::kDeltaQkv, layer, true, qk_rows, d.shape.value_dim);
      add_heads(Part::kDeltaZ, layer, true, 0, d.shape.value_dim);
      add_heads(Part::kDeltaB, layer, true, 0, 1);
      add_heads(Part::kDeltaA, layer, true, 0, 1);
    }
    add_heads(Part::kDeltaConv, layer, false, qk_rows, d.shape.value_dim);
    add_head_vector(Part::kDeltaDecay, layer, ValueTransform::kMinusExp);
    add_head_vector(Part::kDeltaDtBias, layer, ValueTransform::kCopy);
    add_same(Part::kDeltaNorm, layer, false);
    const TensorEntry& out = require(Part::kDeltaOut, layer);
    RowSource source{{&out}, nullptr, {}, ValueTransform::kCopy};
    if (naming_.tiled_value_heads) {
      source.column_map = list_map(tiled_from_natural(d.shape, 0, d.shape.value_dim), out.cols());
    }
    add(Part::kDeltaOut, layer, out.shape, true, std::move(source));
  }

  void add_moe(int64_t layer) {
    add_same(Part::kRouter, layer, false);
    if (c_.moe.shared_width > 0) {
      for (const Part part : {Part::kSharedGate, Part::kSharedUp, Part::kSharedDown})
        add_same(part, layer, true);
      add_same(Part::kSharedScale, layer, false);
    }
    const int64_t experts = c_.moe.experts, width = c_.moe.expert_width, hidden = c_.hidden_size;
    if (const TensorEntry* fused = find(Part::kExpertsGateUp, layer)) {
      // Per expert the gate rows, then the up rows.
      const auto half = [width](int64_t offset) {
        return
            [width, offset](int64_t row) { return row / width * 2 * width + offset + row % width; };
      };
      add(Part::kExpertsGate, layer, {experts, width, hidden}, true,
          {{fused}, half(0), {}, ValueTransform::kCopy});
      add(Part::kExpertsUp, layer, {experts, width, hidden}, true,
          {{fused}, half(width), {}, ValueTransform::kCopy});
      add_same(Part::kExpertsDown, layer, true);
      return;
    }
    add_experts(Part::kExpertsGate, Part::kExpertGate, layer, {experts, width, hidden});
    add_experts(Part::kExpertsUp, Part::kExpertUp, layer, {experts, width, hidden});
    add_experts(Part::kExpertsDown, Part::kExpertDown, layer, {experts, hidden, width});
  }

  void add_experts(Part stacked, Part single, int64_t layer, std::vector<int64_t> shape) {
    RowSource source;
    for (int64_t expert = 0; expert < c_.moe.experts; ++expert)
      source.parts.push_back(&require(single, layer, expert));
    add(stacked, layer, std::move(shape), true, std::move(source));
  }

  const TensorStore& store_;
  const ModelConfig& c_;
  Naming naming_;
  std::vector<PlannedTensor> planned_;
};

void check_gguf_can_hold(const Checkpoint& folder, const ModelConfig& c) {
  const auto refuse = [&](const std::string& what) {
    fail(ErrorCode::kUnsupported, "{}: {}: GGUF cannot hold it", folder.path, what);
  };
  if (c.recurrent_layers() > 0 && c.delta.shape.key_dim != c.delta.shape.value_dim) {
    refuse(fmt::format("linear_key_head_dim {} with linear_value_head_dim {}",
                       c.delta.shape.key_dim, c.delta.shape.value_dim));
  }
  if (c.moe.experts > 0 && !c.moe.renormalise) refuse("norm_topk_prob false");
  const auto routed = std::count(c.moe_layers.begin(), c.moe_layers.end(), true);
  if (routed != 0 && routed != c.layers)
    refuse(fmt::format("{} dense layers among {}", c.layers - routed, c.layers));
}

}  // namespace

std::vector<PlannedTensor> plan_gguf(const Checkpoint& folder, const ModelConfig& config,
                                     bool mtp) {
  check_gguf_can_hold(folder, config);
  return GgufPlanner(folder, config).plan(mtp);
}

}  // namespace headgate
