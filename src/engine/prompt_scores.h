// Log-probabilities of tokens that were given, not sampled.
#pragma once

#include <cstdint>
#include <span>

#include "sampling/sampler.h"

namespace headgate {

// The log-probability of `token` after logits [vocabulary], among ids below `text_tokens`, and the
// `best` likeliest there. A token at or above `text_tokens` gets minus infinity.
SampledToken score_token(std::span<const float> logits, int64_t text_tokens, int32_t token,
                         int32_t best);

}  // namespace headgate
