// Reads GGUF containers of outside origin into a TensorStore.
#pragma once

#include <cstdint>
#include <string>

#include "formats/gguf.h"
#include "formats/tensor_store.h"

namespace headgate {

// Parses the header of file `file` of the store, adds its tensors and returns its metadata. Throws
// kInvalidFile for anything malformed and kUnsupported for another version, byte order or tensor
// type; no allocation exceeds a small multiple of the file.
GgufMetadata read_gguf(TensorStore& store, int32_t file);

// Opens a GGUF file, or all parts of the split file that `path` is one part of (any part). Returns
// the metadata of the first part.
GgufMetadata open_gguf(TensorStore& store, const std::string& path);

}  // namespace headgate
