// From the types and shapes of a KV cache to the tiles of the kernels.
#pragma once

#include "backend/kv_layout.h"
#include "kernels/kv_tile.h"

namespace headgate {

// Throws kUnsupported for a type that no cache is kept in.
KvFormat kv_format(DType dtype);
// What each KV head takes of a page.
KvPlane kv_plane_of(const KvLayout& layout);

}  // namespace headgate
