// Updates of the weights from their gradients: clipping, AdamW, Muon.
#pragma once

#include <cstdint>
#include <span>

#include "backend/train_math.h"
#include "train/ops.h"
#include "train/parameters.h"
#include "train/train_config.h"

namespace headgate {

// Euclidean norm, summed in fp64 in blocks of fixed size, block after block.
double gradient_norm(ThreadPool& pool, std::span<const float> gradient);

// Numbers [begin, end) of arrays laid out by one ParameterMap; the pointers are to number `begin`.
struct OptimizerState {
  int64_t begin = 0, end = 0;
  float* weights = nullptr;
  const float* gradient = nullptr;
  float* first = nullptr;   // moment or momentum
  float* second = nullptr;  // moment; unused under Muon
};

struct OptimizerStep {
  int64_t number = 1;  // 1 is the first
  double rate = 0;
  double gradient_scale = 1;  // from clipping
  bool freeze_router = false;
  bool freeze_mtp = false;  // the module rests
};

// What AdamW does to one array in this step, with or without decay.
AdamwFactors adamw_factors(const OptimizerConfig& config, const OptimizerStep& step, bool decay);

// AdamW with decoupled decay (Loshchilov & Hutter, arXiv 1711.05101); under kMuon hidden matrices
// take the orthogonalised momentum instead, scaled to AdamW's usual update size (Jordan 2024; Liu
// et al., arXiv 2502.16982).
void optimizer_step(Ops<float>& ops, const OptimizerConfig& config, const ParameterMap& map,
                    const OptimizerState& state, const OptimizerStep& step);

}  // namespace headgate
