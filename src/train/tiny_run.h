// The model that the trainer's tests train: one of each mixer, small enough for a thousand steps.
#pragma once

#include <string>

#include "train/train_config.h"

namespace headgate {

// Four layers (the last one attention) of 32 numbers over 48 tokens, in fp32.
inline TrainConfig tiny_run(int experts = 8) {
  TrainConfig config;
  config.model_json = R"({"model_type": "qwen3_next", "vocab_size": 48, "hidden_size": 32,
    "intermediate_size": 48, "num_hidden_layers": 4, "full_attention_interval": 4,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    "partial_rotary_factor": 0.25, "rope_theta": 10000, "linear_num_key_heads": 1,
    "linear_num_value_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4, "num_experts": )" +
                      std::to_string(experts) +
                      R"(, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "norm_topk_prob": true,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-6})";
  config.precision = TrainPrecision::kF32;
  config.schedule.peak_rate = 3e-3;
  config.loss.mtp_steps = 2;
  config.seed = 3;
  return config;
}

}  // namespace headgate
