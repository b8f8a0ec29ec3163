// The default model inside the binary.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace headgate {

// The bytes of a GGUF, aligned to 4096; empty when the binary was built without one.
std::span<const std::byte> embedded_model();

// How it is named in messages and reports.
inline constexpr const char* kEmbeddedModelName = "embedded model";

// What clients of a server call it: the name of the folder its file was in, such as "headgate-s".
std::string_view embedded_model_id();

}  // namespace headgate
