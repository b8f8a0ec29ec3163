// The default model inside the binary.
#pragma once

#include <cstddef>
#include <span>

namespace headgate {

// The bytes of a GGUF, aligned to 4096; empty when the binary was built without one.
std::span<const std::byte> embedded_model();

// How it is named in messages and reports.
inline constexpr const char* kEmbeddedModelName = "embedded model";

}  // namespace headgate
