// File names of the parts of a split GGUF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace headgate {

// "model" from "model-00002-of-00003.gguf", part number 1 (from 0), count 3.
struct GgufPartName {
  std::string stem;
  int64_t number = 0;
  int64_t count = 0;
};

std::string gguf_part_path(const std::string& stem, int64_t number, int64_t count);
std::optional<GgufPartName> parse_gguf_part_path(const std::string& path);

}  // namespace headgate
