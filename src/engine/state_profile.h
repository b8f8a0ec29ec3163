// What a saved state must fit.
#pragma once

#include <string>

#include "base/checksum.h"
#include "cache/sequence_state.h"
#include "model/config.h"

namespace headgate {

// Of everything that a state's bits depend on: what the caller says of weights, build and kernels,
// the KV type, sizes and the rotation of positions.
Digest state_profile(const std::string& model_identity, const ModelConfig& config,
                     const StateShape& shape);

}  // namespace headgate
