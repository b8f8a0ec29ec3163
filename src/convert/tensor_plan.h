// Which tensors an output file gets, and which rows of the input each is made of.
#pragma once

#include <vector>

#include "convert/row_source.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/tensor_names.h"

namespace headgate {

// The tensors of a GGUF made from `folder` (a Hugging Face checkpoint). Throws kUnsupported for a
// configuration GGUF cannot hold, kInvalidFile for a missing tensor.
std::vector<PlannedTensor> plan_gguf(const Checkpoint& folder, const ModelConfig& config, bool mtp);

// The tensors of a folder made from `gguf`.
std::vector<PlannedTensor> plan_folder(const Checkpoint& gguf, const ModelConfig& config, bool mtp);

}  // namespace headgate
