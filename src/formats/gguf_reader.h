// Reads GGUF files (versions 2 and 3) into metadata and tensor entries.
#pragma once

#include <string>

#include "formats/gguf.h"
#include "formats/tensor_store.h"

namespace headgate {

// Parses the GGUF that is file number `file` of `store` and adds its tensors. Every count is
// checked against the bytes that are left before anything is allocated. Throws kInvalidFile or
// kUnsupported (file, key or tensor, found, expected).
GgufMetadata read_gguf(TensorStore& store, int32_t file);

}  // namespace headgate
