// Safetensors files and sharded sets of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "formats/tensor_store.h"

namespace headgate {

// The optional "__metadata__" strings of a file.
using SafetensorsMetadata = std::map<std::string, std::string>;

// Parses the header of file `file` of the store and adds its tensors. Tensors must fill the data
// section without holes or overlaps, as the format asks. Throws kInvalidFile, or kUnsupported for
// an unknown dtype; no allocation exceeds a small multiple of the header.
SafetensorsMetadata read_safetensors(TensorStore& store, int32_t file);

// One .safetensors file.
TensorStore open_safetensors(const std::string& path);

// Tensor name -> file name of its shard, relative to the folder of the index.
using ShardIndex = std::map<std::string, std::string, std::less<>>;

// Parses the text of an index; `index_path` names it in errors. Shard names that leave the folder
// are refused.
ShardIndex parse_shard_index(std::string_view text, const std::string& index_path);

// Adds all shards named by an index ("model.safetensors.index.json"). Shards lie in the folder of
// the index: a name that leaves it is refused. Every tensor of weight_map must be in the shard it
// names.
void read_safetensors_index(TensorStore& store, const std::string& index_path);

}  // namespace headgate
