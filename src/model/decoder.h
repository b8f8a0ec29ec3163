// The network from tokens to logits, and its multi-token-prediction module.
#pragma once

#include <span>

#include "model/model.h"
#include "model/step.h"
#include "model/weights.h"

namespace headgate {

// Runs the trunk over the step's tokens and fills `result` (see Model::forward).
void run_decoder(Step& step, const ModelWeights& weights, std::span<const BatchItem> items,
                 StepResult& result);

// Runs the multi-token-prediction module over the step's tokens and `hidden` [tokens, hidden] (see
// Model::mtp_forward).
void run_mtp(Step& step, const ModelWeights& weights, View hidden, LogitRows logits,
             StepResult& result);

// Logits of the normed rows x [rows, hidden], appended to nothing: result.logits holds exactly
// them.
void write_logits(Step& step, const ModelWeights& weights, View x, StepResult& result);

}  // namespace headgate
