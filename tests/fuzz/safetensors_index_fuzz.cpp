// Fuzzes the shard index of safetensors: every shard it names stays inside the folder, or one
// Error.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const headgate::ShardIndex index = headgate::parse_shard_index(
        std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    for (const auto& [tensor, shard] : index) {
      const std::string path = "/" + shard + "/";
      HEADGATE_CHECK(path.find("//") == std::string::npos);
      HEADGATE_CHECK(path.find("/../") == std::string::npos);
    }
  } catch (const headgate::Error&) {
  }
  return 0;
}
