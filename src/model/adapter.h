// LoRA adapters in PEFT's layout, joined to a checkpoint before it is loaded or converted.
#pragma once

#include <string>

#include "formats/checkpoint.h"

namespace headgate {

// Replaces every tensor that the adapter in `folder` (adapter_config.json and
// adapter_model.safetensors) names by W + alpha / r B A, computed in fp32 and kept in the type of
// W, or as bf16 where that is a block type. Experts may be stacked in the checkpoint and apart in
// the adapter. Throws kUnsupported for a GGUF, for adapters that are not LoRA on linear layers, and
// for variants with other mathematics (rsLoRA scales by alpha / sqrt(r) and is known; DoRA is not);
// kInvalidFile for what does not fit the checkpoint.
void apply_adapter(Checkpoint& checkpoint, const std::string& folder);

}  // namespace headgate
