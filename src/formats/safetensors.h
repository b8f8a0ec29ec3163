// Reads safetensors files, single and sharded.
#pragma once

#include <string>

#include "formats/tensor_store.h"

namespace headgate {

// Parses the header of file number `file` of `store` and adds its tensors. Throws kInvalidFile or
// kUnsupported (file, tensor, found, expected): truncated or malformed header, invalid UTF-8,
// duplicate names, unknown dtype, sizes that overflow or contradict the shape, ranges that overlap,
// leave gaps or pass the end of the file.
void read_safetensors(TensorStore& store, int32_t file);

// Adds the shards that `index_path` (model.safetensors.index.json) names, all in the index's own
// folder, and checks that every tensor lies in the shard the index says.
void read_safetensors_index(TensorStore& store, const std::string& index_path);

}  // namespace headgate
