// The network from tokens to logits, and its multi-token-prediction module.
#pragma once

#include <span>

#include "model/model.h"
#include "model/step.h"
#include "model/weights.h"

namespace headgate {

class HeadRows;

// Runs the trunk over the step's tokens and fills `result` (see Model::forward).
void run_decoder(Step& step, const ModelWeights& weights, std::span<const BatchItem> items,
                 StepResult& result);

// Runs the multi-token-prediction module over the step's tokens and the items' hidden states (see
// Model::mtp_forward). `head`: the rows of the head that are wanted; null: all.
void run_mtp(Step& step, const ModelWeights& weights, std::span<const MtpItem> items,
             LogitRows logits, HeadRows* head, StepResult& result);

// Logits of the normed rows x [rows, hidden], appended to nothing: result.logits holds exactly
// them.
void write_logits(Step& step, const ModelWeights& weights, View x, StepResult& result);

}  // namespace headgate
