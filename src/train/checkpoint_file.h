// Checkpoints of a training run on disk.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace headgate {

// Everything a run goes on from. Arrays are the whole state, in the order of the ParameterMap.
struct TrainingState {
  int64_t step = 0;
  std::string layout;      // digest of the ParameterMap: which network
  std::string data_state;  // the caller's
  std::span<float> weights, first, second;
};

// folder/step-NNNNNNNN/model.safetensors appears complete or not at all, whenever the process dies;
// then older ones beyond `keep` go. Returns its folder.
std::string write_training_state(const std::string& folder, const TrainingState& state, int keep);
// The newest complete one of `folder`, or `folder` itself when it is one. Fills the arrays and the
// rest of `state`. Throws kNotFound, or kInvalidFile when layout or sizes differ.
void read_training_state(const std::string& folder, TrainingState& state);

}  // namespace headgate
