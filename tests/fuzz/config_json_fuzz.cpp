// Fuzzes the model configuration: any config.json is a decoder of consistent sizes, or one Error.
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    headgate::json::value value = headgate::parse_json(
        std::string_view(reinterpret_cast<const char*>(data), size), "config.json");
    if (!value.is_object()) return 0;
    headgate::Checkpoint checkpoint;
    checkpoint.path = "fuzz";
    checkpoint.config = std::move(value.get_object());
    const headgate::ModelConfig config = headgate::read_model_config(checkpoint);
    HEADGATE_CHECK(static_cast<int64_t>(config.mixers.size()) == config.layers);
    HEADGATE_CHECK(static_cast<int64_t>(config.moe_layers.size()) == config.layers);
    HEADGATE_CHECK(headgate::model_size(config).parameters >= 0);
  } catch (const headgate::Error&) {
  }
  return 0;
}
