// GGUF tensors to Hugging Face tensors: the inverse of plan_gguf.cpp.
#include <algorithm>

#include "base/error.h"
#include "convert/delta_layout.h"
#include "convert/tensor_plan.h"

namespace headgate {
namespace {

class FolderPlanner {
 public:
  FolderPlanner(const Checkpoint& gguf, const ModelConfig& config)
      : store_(gguf.tensors),
        c_(config),
        naming_(tensor_naming(config, gguf)),
        split_(config.family.starts_with("qwen3_5")) {
    if (split_) naming_.hf_root = "model.language_model.";
  }

  std::vector<PlannedTensor> plan(bool mtp) {
    add_same(Part::kEmbedding, 0, true);
    add_norm(Part::kFinalNorm, 0);
    if (find(Part::kLmHead, 0) != nullptr) add_same(Part::kLmHead, 0, true);
    for (int64_t layer = 0; layer < c_.layers; ++layer) {
      const auto index = static_cast<size_t>(layer);
      add_layer(layer, c_.mixers[index], c_.moe_layers[index]);
    }
    for (int64_t module = 0; mtp && module < c_.mtp_layers; ++module) {
      const int64_t layer = c_.layers + module;
      add_same(Part::kMtpInput, layer, true);
      for (const Part norm : {Part::kMtpEmbeddingNorm, Part::kMtpHiddenNorm, Part::kMtpFinalNorm})
        add_norm(norm, layer);
      add_layer(layer, Mixer::kAttention, c_.moe.experts > 0);
    }
    return std::move(planned_);
  }

 private:
  const TensorEntry* find(Part part, int64_t layer) const {
    return store_.find(gguf_tensor_name(naming_, part, layer));
  }
  const TensorEntry& require(Part part, int64_t layer) const {
    return store_.require(gguf_tensor_name(naming_, part, layer));
  }

  void add(Part part, int64_t layer, std::vector<int64_t> shape, bool matrix, RowSource source,
           int64_t expert = 0) {
    planned_.push_back({hf_tensor_name(naming_, part, layer, expert), std::move(shape), matrix,
                        std::move(source)});
  }

  void add_same(Part part, int64_t layer, bool matrix) {
    const TensorEntry& entry = require(part, layer);
    add(part, layer, entry.shape, matrix, {{&entry}, nullptr, {}, ValueTransform::kCopy});
  }

  void add_norm(Part part, int64_t layer) {
    const TensorEntry& entry = require(part, layer);
    add(part, layer, entry.shape, true,
        {{&entry},
         nullptr,
         {},
         c_.zero_centered_norm ? ValueTransform::kMinusOne : ValueTransform::kCopy});
  }

  void add_heads(Part part, int64_t layer, std::vector<int64_t> shape, int64_t offset,
                 int64_t rows_per_head) {
    const TensorEntry& entry = require(part, layer);
    RowSource source{{&entry}, nullptr, {}, ValueTransform::kCopy};
    if (naming_.tiled_value_heads)
      source.row_map = natural_from_tiled(c_.delta.shape, offset, rows_per_head);
    add(part, layer, std::move(shape), true, std::move(source));
  }

  void add_head_vector(Part part, int64_t layer, ValueTransform transform) {
    const TensorEntry& entry = require(part, layer);
    RowSource source{{&entry}, nullptr, {}, transform};
    if (naming_.tiled_value_heads) {
      source.column_map = list_map(natural_from_tiled(c_.delta.shape, 0, 1), entry.elements());
    }
    // A_log is kept in fp32: bf16 would move every decay.
    add(part, layer, {entry.elements()}, transform == ValueTransform::kCopy, std::move(source));
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

  void add_projections(int64_t layer) {
    const GatedDeltaConfig& d = c_.delta;
    const int64_t qk_rows = 2 * d.key_width();
    if (find(Part::kDeltaQkvz, layer) != nullptr) {
      add_same(Part::kDeltaQkvz, layer, true);
      add_same(Part::kDeltaBa, layer, true);
    } else if (split_) {
      add_heads(Part::kDeltaQkv, layer, {qk_rows + d.value_width(), c_.hidden_size}, qk_rows,
                d.shape.value_dim);
      add_heads(Part::kDeltaZ, layer, {d.value_width(), c_.hidden_size}, 0, d.shape.value_dim);
      add_heads(Part::kDeltaB, layer, {d.shape.value_heads, c_.hidden_size}, 0, 1);
      add_heads(Part::kDeltaA, layer, {d.shape.value_heads, c_.hidden_size}, 0, 1);
    } else {
      RowSource source{{&require(Part::kDeltaQkv, layer), &require(Part::kDeltaZ, layer)},
                       grouped_from_flat(d.shape),
                       {},
                       ValueTransform::kCopy};
      add(Part::kDeltaQkvz, layer, {qk_rows + 2 * d.value_width(), c_.hidden_size}, true,
          std::move(source));
      add_same(Part::kDeltaBa, layer, true);
    }
  }

  void add_delta_net(int64_t layer) {
    const GatedDeltaConfig& d = c_.delta;
    add_projections(layer);
    add_heads(Part::kDeltaConv, layer, {d.conv_channels(), 1, d.conv_kernel}, 2 * d.key_width(),
              d.shape.value_dim);
    add_head_vector(Part::kDeltaDecay, layer, ValueTransform::kLogMinus);
    add_head_vector(Part::kDeltaDtBias, layer, ValueTransform::kCopy);
    add_same(Part::kDeltaNorm, layer, true);
    const TensorEntry& out = require(Part::kDeltaOut, layer);
    RowSource source{{&out}, nullptr, {}, ValueTransform::kCopy};
    if (naming_.tiled_value_heads) {
      source.column_map = list_map(natural_from_tiled(d.shape, 0, d.shape.value_dim), out.cols());
    }
    add(Part::kDeltaOut, layer, out.shape, true, std::move(source));
  }

  void add_moe(int64_t layer) {
    add_same(Part::kRouter, layer, true);
    if (c_.moe.shared_width > 0) {
      for (const Part part : {Part::kSharedGate, Part::kSharedUp, Part::kSharedDown})
        add_same(part, layer, true);
      const TensorEntry& scale = require(Part::kSharedScale, layer);
      add(Part::kSharedScale, layer, {1, scale.elements()}, true,
          {{&scale}, nullptr, {}, ValueTransform::kCopy});
    }
    const int64_t width = c_.moe.expert_width, hidden = c_.hidden_size;
    if (split_) {
      add_fused_experts(layer);
      return;
    }
    const TensorEntry* fused = find(Part::kExpertsGateUp, layer);
    const TensorEntry& gate = fused != nullptr ? *fused : require(Part::kExpertsGate, layer);
    const TensorEntry& up = fused != nullptr ? *fused : require(Part::kExpertsUp, layer);
    const TensorEntry& down = require(Part::kExpertsDown, layer);
    const auto rows = [](int64_t first) { return [first](int64_t row) { return first + row; }; };
    for (int64_t e = 0; e < c_.moe.experts; ++e) {
      const int64_t gate_row = fused != nullptr ? e * 2 * width : e * width;
      const int64_t up_row = fused != nullptr ? gate_row + width : e * width;
      add(Part::kExpertGate, layer, {width, hidden}, true,
          {{&gate}, rows(gate_row), {}, ValueTransform::kCopy}, e);
      add(Part::kExpertUp, layer, {width, hidden}, true,
          {{&up}, rows(up_row), {}, ValueTransform::kCopy}, e);
      add(Part::kExpertDown, layer, {hidden, width}, true,
          {{&down}, rows(e * hidden), {}, ValueTransform::kCopy}, e);
    }
  }

  // Qwen3.5 keeps the experts of a layer in two tensors.
  void add_fused_experts(int64_t layer) {
    const int64_t experts = c_.moe.experts, width = c_.moe.expert_width, hidden = c_.hidden_size;
    if (find(Part::kExpertsGateUp, layer) != nullptr) {
      add_same(Part::kExpertsGateUp, layer, true);
    } else {
      RowSource source{{&require(Part::kExpertsGate, layer), &require(Part::kExpertsUp, layer)},
                       [experts, width](int64_t row) {
                         const int64_t expert = row / (2 * width), within = row % (2 * width);
                         return within < width ? expert * width + within
                                               : experts * width + expert * width + within - width;
                       },
                       {},
                       ValueTransform::kCopy};
      add(Part::kExpertsGateUp, layer, {experts, 2 * width, hidden}, true, std::move(source));
    }
    add_same(Part::kExpertsDown, layer, true);
  }

  const TensorStore& store_;
  const ModelConfig& c_;
  Naming naming_;
  bool split_;
  std::vector<PlannedTensor> planned_;
};

}  // namespace

std::vector<PlannedTensor> plan_folder(const Checkpoint& gguf, const ModelConfig& config,
                                       bool mtp) {
  return FolderPlanner(gguf, config).plan(mtp);
}

}  // namespace headgate
