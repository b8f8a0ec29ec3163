// Fuzzes the shard index of safetensors: every shard it names stays inside the folder, or one
// Error.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const headgate::ShardIndex index = headgate::parse_shard_index(
        std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    for (const auto& [tensor, shard] : index) {
      HEADGATE_CHECK(!shard.starts_with('/') && shard.find("../") == std::string::npos);
    }
  } catch (const headgate::Error&) {
  }
  return 0;
}
