// One model file into another: Hugging Face folders to GGUF and back, values kept, layouts changed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace headgate {

// Called with bytes read so far and in all; false cancels (Error kCancelled, nothing is left
// behind).
using ConvertProgress = std::function<bool(int64_t done, int64_t total)>;

struct ConvertOptions {
  std::string input;    // folder or GGUF
  std::string adapter;  // folder of a LoRA adapter that is merged in; empty: none
  std::string output;   // a name ending in ".gguf", else a folder, made when missing
  // Type of the matrices: f32, f16, bf16 or (GGUF only) any block type. Unset keeps the source's;
  // F8 becomes bf16, and so do block types on the way to a folder. Norms, router, convolution and
  // gates stay exact.
  std::optional<DType> type;
  bool mtp = true;             // take the multi-token-prediction module along
  int64_t max_part_bytes = 0;  // split or shard beyond; 0: one file
  int threads = 0;
  std::string name;  // general.name; empty: the folder's name
  ConvertProgress progress;
};

struct ConvertReport {
  std::vector<std::string> files;
  int64_t tensors = 0;
  int64_t bytes_read = 0;
  int64_t bytes_written = 0;
};

// Streams tensor by tensor: resident memory stays below 1 GiB whatever the model's size. GGUF to
// GGUF copies the metadata byte for byte. Metadata survives GGUF -> folder -> GGUF and folder ->
// GGUF -> folder unchanged: the folder keeps the GGUF's in gguf_metadata.gguf, the GGUF keeps the
// folder's JSON files under headgate.hf.*. Throws kUnsupported for what the target cannot hold
// (GGUF: key_dim != value_dim, unnormalised routing).
ConvertReport convert_checkpoint(const ConvertOptions& options);

}  // namespace headgate
