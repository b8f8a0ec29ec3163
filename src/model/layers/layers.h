// The maths of a decoder layer: mixers and MLPs.
#pragma once

#include "model/step.h"
#include "model/weights.h"

namespace headgate {

// In all of these x and y are [tokens, hidden], x is normed, and y is written. `layer` counts the
// layers with the same kind of mixer and names the state that is advanced.

// Causal attention over each sequence's pages, gated per dimension when the family gates.
// Source: Qwen3-Next; rotary embedding by halves (arXiv 2104.09864).
void attention(Step& step, const AttentionWeights& w, int64_t layer, View x, MutView y);

// The part of it that other tokens attend to: keys and values of x, nothing is written but the
// pages.
void attention_keys(Step& step, const AttentionWeights& w, int64_t layer, View x);

// Mixes tokens along each sequence through a recurrent state.
// Source: Gated Delta Networks (arXiv 2412.06464); Qwen3-Next gates and normalises the output.
void gated_delta_net(Step& step, const GatedDeltaWeights& w, int64_t layer, View x, MutView y);

// y = down(silu(gate x) * up x).
void mlp(Step& step, const MlpWeights& w, View x, MutView y);

// The k best experts by router, plus the shared expert scaled by its own gate.
void moe(Step& step, const MoeWeights& w, View x, MutView y);

// A whole residual layer in place: x += mixer(norm(x)); x += mlp(norm(x)).
void decoder_layer(Step& step, const LayerWeights& w, MutView x);

}  // namespace headgate
