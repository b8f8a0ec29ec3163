// Weights from and to Hugging Face checkpoints.
#pragma once

#include <string>

#include "formats/tensor_store.h"
#include "train/parameters.h"

namespace headgate {

// See Trainer::load_weights and Trainer::export_weights.
void read_weights(const TensorStore& store, const ParameterMap& map, float* weights);
void write_weights(const std::string& folder, const std::string& config_json, DType type,
                   const ParameterMap& map, const float* weights);

}  // namespace headgate
