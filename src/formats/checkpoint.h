// A model on disk or in memory: its configuration, tensors and tokenizer files, whatever the
// format.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "formats/gguf.h"
#include "formats/tensor_store.h"

namespace headgate {

enum class CheckpointFormat { kHuggingFace, kGguf };

// Opened read-only; move-only. Thread rule: const members may be called from any thread.
struct Checkpoint {
  CheckpointFormat format = CheckpointFormat::kHuggingFace;
  std::string path;  // folder, GGUF file, or "embedded model"
  TensorStore tensors;
  json::object config;             // config.json; empty for GGUF
  json::object generation_config;  // generation_config.json; empty when absent
  GgufMetadata gguf;               // metadata of a GGUF (of its first part); empty for HF
};

// Opens a Hugging Face folder (config.json + model.safetensors or an index with shards; also a path
// to one .safetensors file or to model.safetensors.index.json inside such a folder) or a GGUF file
// (single, or any part of a split one). Throws kNotFound, kInvalidFile or kUnsupported; no tensor
// data is read.
Checkpoint open_checkpoint(const std::string& path);

// Opens a GGUF held in memory, which must outlive the checkpoint.
Checkpoint open_checkpoint_memory(std::span<const std::byte> gguf, const std::string& name);

}  // namespace headgate
