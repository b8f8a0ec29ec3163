// What a training run is made of: network, losses, optimiser, schedule and arithmetic.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/config.h"

namespace headgate {

// How the router's balance loss is pooled. f = share of the chosen slots that went to an expert (no
// gradient), p = mean probability of the expert.
enum class BalanceLoss : uint8_t {
  kGlobalPerLayer,  // E sum_e f_e p_e per layer, f over all micro-batches so far, mean over layers
  kMicroPerLayer,   // the same with f of the micro-batch alone: what the global form is judged
                    // against
  kPooledLayers     // transformers' form: f (times experts per token) and p pooled over all layers
};

struct LossConfig {
  BalanceLoss balance = BalanceLoss::kGlobalPerLayer;
  double balance_weight = 1e-2;  // alpha; 1e-3 for large runs
  double z_weight = 0;      // router z-loss: mean over tokens of lse(logits)^2, mean over layers
  int64_t mtp_steps = 3;    // drafts the module is trained for, 0..3; 0: no module
  double mtp_weight = 0.3;  // of all MTP losses, relative to the main loss
  double mtp_decay = 0.8;   // weight of step s is mtp_decay^(s-1)
  bool mtp_reaches_trunk = true;  // false: MTP gradients stop at the trunk's hidden states
};

enum class OptimizerKind : uint8_t { kAdamW, kMuon };

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double weight_decay = 0.1;      // decoupled; on matrices and zero-centred norm weights
  bool decay_everything = false;  // also on A_log, dt_bias, convolutions and gated norms
  bool decay_norms = true;        // false: matrices only
  double clip_norm = 1.0;         // of the gradient of all parameters together; 0: never
  double muon_momentum = 0.95;    // hidden matrices under kMuon; all others stay on AdamW
};

// Warm-up, stable, decay: linear from 0, constant, linear to final_share * peak.
struct ScheduleConfig {
  double peak_rate = 1e-3;
  int64_t warmup_steps = 0;
  int64_t decay_start = INT64_MAX;  // first step of the decay; a run can be decayed from any step
  int64_t decay_steps = 1;
  double final_share = 0;
};

// Rate of step `step` (0 is the first).
double learning_rate(const ScheduleConfig& schedule, int64_t step);

// What the large matrix products multiply. Sums, norms, router, delta rule, softmax and losses are
// fp32 always. kAuto takes bf16 where the machine has bf16 dot products, else fp32.
enum class TrainPrecision : uint8_t { kAuto, kF32, kBF16 };

// Low-rank adapters (Hu et al., arXiv 2106.09685): W + alpha / rank B A in place of a matrix W, and
// only A and B learn. The module for drafts has none.
struct LoraConfig {
  int64_t rank = 0;  // 0: no adapters, all weights learn
  double alpha = 16;
  bool attention = true, delta = true, shared = true, experts = false;  // whose matrices
};

struct TrainConfig {
  std::string model_json;  // a Hugging Face config.json of a qwen3_next model; exported as it is
  LossConfig loss;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  TrainPrecision precision = TrainPrecision::kAuto;
  bool recompute = false;  // keep only the layers' inputs and run their forward again in backward
  bool freeze_router = false;  // fine-tuning: the router keeps its weights
  LoraConfig lora;
  uint64_t seed = 0;  // of the first weights
};

// The configuration of model_json. Throws kInvalidFile, or kUnsupported for a family without a
// trainer.
ModelConfig train_model_config(const TrainConfig& config);

// config.json of a geometry by name: "nano", "small", "medium". Throws kInvalidArgument.
std::string train_preset(std::string_view name);

// Multiplications and additions, times two, of one training step per token of rows of `length`
// tokens: forward and backward of everything that is trained (the usual 6 N of the active
// parameters plus attention and delta rule).
double train_flops_per_token(const TrainConfig& config, int64_t length);

}  // namespace headgate
