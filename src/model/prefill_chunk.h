// How many prompt tokens a step should take, and the scratch memory that costs.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace headgate {

// Scratch memory that default_prefill_chunk() may fill.
constexpr int64_t kScratchBudget = int64_t{1} << 30;

// Bytes of activations that a step of `tokens` tokens keeps at most, the CPU backend's own
// included; logits and states are not.
int64_t step_scratch_bytes(const ModelConfig& config, int64_t tokens);

// Prompt tokens per step: so many that every expert multiplies about 80 rows for one read of its
// weights (4096 for Qwen3-Next-80B, 512 where nothing routes), halved until the scratch memory fits
// the budget, and at least 512.
int64_t default_prefill_chunk(const ModelConfig& config, int64_t scratch_budget = kScratchBudget);

}  // namespace headgate
