// Checkpoints of random weights in any geometry: for timing at true shapes and for tests, never for
// text.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/convert.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace headgate {

struct SynthOptions {
  std::string preset = "qwen3-next-80b";  // see synth_presets()
  std::string config_path;                // a config.json whose geometry wins over the preset
  std::string output;                     // a name ending in ".gguf", else a folder
  int64_t layers = 0;                     // 0: the preset's
  int64_t experts = 0;                    // 0: the preset's
  DType type = DType::kBF16;              // of matrices; rows it does not divide become q8_0 or f16
  std::string mix;                        // GGUF: a quantisation mix ("q4_k_m") instead of one type
  bool mtp = true;
  bool header_only = false;  // tensor data is a hole in the file: for `inspect` at full size
  uint64_t seed = 0;
  int threads = 0;
  ConvertProgress progress;  // bytes written
};

// Names of the presets with one line each.
struct SynthPreset {
  std::string_view name;
  std::string_view description;
};
std::vector<SynthPreset> synth_presets();

// The geometry of the options. Throws kInvalidArgument for an unknown preset or a layer count that
// makes no model.
ModelConfig synth_config(const SynthOptions& options);

// Weights are normal with variance 1 / inputs, so activations stay finite at any depth; large
// matrices repeat a few hundred distinct rows. The vocabulary is 256 bytes and Qwen's added tokens,
// padded. The same options give the same bytes on every machine.
ConvertReport synthesize_checkpoint(const SynthOptions& options);

}  // namespace headgate
