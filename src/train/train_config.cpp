// Presets, schedule and cost of a training run.
#include "train/train_config.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

struct Preset {
  std::string_view name;
  const char* config;
};

constexpr Preset kPresets[] = {
    {"nano", R"({
 "model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"], "vocab_size": 4096,
 "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "full_attention_interval": 4,
 "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 64, "partial_rotary_factor": 0.25,
 "rope_theta": 1000000, "linear_num_key_heads": 3, "linear_num_value_heads": 3,
 "linear_key_head_dim": 64, "linear_value_head_dim": 64, "linear_conv_kernel_dim": 4,
 "num_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 96,
 "shared_expert_intermediate_size": 192, "norm_topk_prob": true, "hidden_act": "silu",
 "rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "tie_word_embeddings": false,
 "torch_dtype": "bfloat16"
})"},
    {"small", R"({
 "model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"], "vocab_size": 8192,
 "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 8, "full_attention_interval": 4,
 "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 64, "partial_rotary_factor": 0.25,
 "rope_theta": 1000000, "linear_num_key_heads": 1, "linear_num_value_heads": 2,
 "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
 "num_experts": 64, "num_experts_per_tok": 4, "moe_intermediate_size": 64,
 "shared_expert_intermediate_size": 128, "norm_topk_prob": true, "hidden_act": "silu",
 "rms_norm_eps": 1e-6, "max_position_embeddings": 32768, "tie_word_embeddings": false,
 "torch_dtype": "bfloat16"
})"},
    {"medium", R"({
 "model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"], "vocab_size": 8192,
 "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 12,
 "full_attention_interval": 4, "num_attention_heads": 6, "num_key_value_heads": 1, "head_dim": 64,
 "partial_rotary_factor": 0.25, "rope_theta": 1000000, "linear_num_key_heads": 1,
 "linear_num_value_heads": 3, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
 "linear_conv_kernel_dim": 4, "num_experts": 32, "num_experts_per_tok": 4,
 "moe_intermediate_size": 96, "shared_expert_intermediate_size": 192, "norm_topk_prob": true,
 "hidden_act": "silu", "rms_norm_eps": 1e-6, "max_position_embeddings": 32768,
 "tie_word_embeddings": false, "torch_dtype": "bfloat16"
})"},
};

// Weights that multiply each token once, by layer.
double mixer_weights(const ModelConfig& c, Mixer mixer) {
  const auto hidden = static_cast<double>(c.hidden_size);
  if (mixer == Mixer::kAttention) {
    const auto query = static_cast<double>(c.attention.heads * c.attention.head_dim);
    const auto kv = static_cast<double>(c.attention.kv_heads * c.attention.head_dim);
    return hidden * (2 * query + 2 * kv + query);
  }
  const auto key = static_cast<double>(c.delta.key_width());
  const auto value = static_cast<double>(c.delta.value_width());
  return hidden * (2 * key + 3 * value + 2 * static_cast<double>(c.delta.shape.value_heads));
}

double mlp_weights(const ModelConfig& c, bool moe) {
  const auto hidden = static_cast<double>(c.hidden_size);
  if (!moe) return 3 * hidden * static_cast<double>(c.dense_width);
  const double width =
      static_cast<double>(c.moe.experts_per_token * c.moe.expert_width + c.moe.shared_width);
  return hidden * (3 * width + static_cast<double>(c.moe.experts) + 1);
}

// Products between tokens, as multiply-adds per token.
double mixing_work(const ModelConfig& c, Mixer mixer, double length) {
  if (mixer == Mixer::kAttention) {
    return length * static_cast<double>(c.attention.heads * c.attention.head_dim);
  }
  const DeltaShape& s = c.delta.shape;
  const auto dk = static_cast<double>(s.key_dim), dv = static_cast<double>(s.value_dim);
  constexpr double kChunk = 64;
  return static_cast<double>(s.value_heads) * (kChunk * (3 * dk + 2 * dv) + 3 * dk * dv);
}

}  // namespace

double learning_rate(const ScheduleConfig& schedule, int64_t step) {
  double share = 1;
  if (step < schedule.warmup_steps) {
    share = static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
  } else if (step >= schedule.decay_start) {
    const auto into = static_cast<double>(step - schedule.decay_start);
    const double done = std::min(1.0, into / static_cast<double>(schedule.decay_steps));
    share = 1 - done * (1 - schedule.final_share);
  }
  return schedule.peak_rate * share;
}

ModelConfig train_model_config(const TrainConfig& config) {
  Checkpoint described;
  described.path = "model configuration";
  described.config = parse_json(config.model_json, described.path).as_object();
  ModelConfig model = read_model_config(described);
  if (model.family != "qwen3_next") {
    fail(ErrorCode::kUnsupported, "train: model family {}, expected qwen3_next", model.family);
  }
  model.mtp_layers = config.loss.mtp_steps > 0 ? 1 : 0;
  return model;
}

std::string train_preset(std::string_view name) {
  std::string names;
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset.config;
    names += (names.empty() ? "" : ", ") + std::string(preset.name);
  }
  fail(ErrorCode::kInvalidArgument, "train: no preset \"{}\"; there are {}", name, names);
}

double train_flops_per_token(const TrainConfig& config, int64_t length) {
  const ModelConfig c = train_model_config(config);
  const auto rows = static_cast<double>(length);
  const double head = static_cast<double>(c.hidden_size) * static_cast<double>(c.vocabulary);
  double work = head;
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const auto i = static_cast<size_t>(layer);
    work += mixer_weights(c, c.mixers[i]) + mlp_weights(c, c.moe_layers[i]) +
            mixing_work(c, c.mixers[i], rows);
  }
  const auto hidden = static_cast<double>(c.hidden_size);
  const double module = 2 * hidden * hidden + mixer_weights(c, Mixer::kAttention) +
                        mlp_weights(c, c.moe.experts > 0) +
                        mixing_work(c, Mixer::kAttention, rows) + head;
  work += static_cast<double>(config.loss.mtp_steps) * module;
  return 6 * work;
}

}  // namespace headgate
