// What the tensors of a decoder are called in Hugging Face and in GGUF files, and how their values
// differ.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace headgate {

// The pieces a decoder is made of. Fused and split forms of one weight are different parts.
enum class Part : uint8_t {
  // Once per model.
  kEmbedding,
  kFinalNorm,
  kLmHead,
  // Once per multi-token-prediction module.
  kMtpInput,
  kMtpEmbeddingNorm,
  kMtpHiddenNorm,
  kMtpFinalNorm,
  // Once per layer.
  kMixerNorm,
  kMlpNorm,
  kQuery,  // with an output gate: per head, query rows then gate rows
  kKey,
  kValue,
  kAttentionOut,
  kQueryNorm,
  kKeyNorm,
  kDeltaQkvz,  // rows grouped by key head: q, k, its v heads, its z heads
  kDeltaQkv,   // rows: q of all heads, k of all heads, v of all heads
  kDeltaZ,
  kDeltaBa,  // rows grouped by key head: b of its value heads, then a
  kDeltaB,
  kDeltaA,
  kDeltaConv,
  kDeltaDecay,  // A_log or -exp(A_log)
  kDeltaDtBias,
  kDeltaNorm,
  kDeltaOut,
  kRouter,
  kSharedScale,  // the gate of the shared expert, one row
  kSharedGate,
  kSharedUp,
  kSharedDown,
  kMlpGate,
  kMlpUp,
  kMlpDown,
  kExpertsGate,  // GGUF: all experts of a layer in one tensor [experts, width, hidden]
  kExpertsUp,
  kExpertsDown,    // GGUF and HF (transformers 5) alike
  kExpertsGateUp,  // stacked; per expert the gate rows, then the up rows
  // Once per expert (HF only).
  kExpertGate,
  kExpertUp,
  kExpertDown,
};

enum class PartScope : uint8_t { kModel, kMtp, kLayer, kExpert };

// How the values of a GGUF tensor follow from the HF tensor of the same part. Value heads that GGUF
// stores in tiled order (Naming::tiled_value_heads) are permuted on top of this.
enum class PartTransform : uint8_t {
  kCopy,
  kNorm,        // + 1 when Naming::zero_centered_norm
  kMinusExp,    // -exp(x)
  kDropMiddle,  // [channels, 1, kernel] -> [channels, kernel]
};

struct PartName {
  Part part;
  PartScope scope;
  std::string_view
      hf;  // after the prefix of its scope; "{}" stands for the expert; empty: not in HF files
  std::string_view gguf;  // after the prefix of its scope; empty: not in GGUF files
  PartTransform transform = PartTransform::kCopy;
};

// Every part, in the order of the enumeration.
std::span<const PartName> part_names();
const PartName& part_name(Part part);

// What of the naming depends on the family and the file.
struct Naming {
  int64_t trunk_layers = 0;  // layers from here on are multi-token-prediction modules
  bool zero_centered_norm = false;
  bool tiled_value_heads =
      false;  // in GGUF files: value head s * key_heads + g holds head g * r + s
  std::string_view hf_root = "model.";  // "model.language_model." in multimodal checkpoints
  std::string_view gguf_mlp_norm =
      "post_attention_norm.weight";  // "ffn_norm.weight" in qwen3, qwen3moe
};

// Full names. `layer` counts trunk layers first, then MTP modules; it and `expert` are ignored
// where the scope has none. Empty when the format has no tensor for the part.
std::string hf_tensor_name(const Naming& naming, Part part, int64_t layer = 0, int64_t expert = 0);
std::string gguf_tensor_name(const Naming& naming, Part part, int64_t layer = 0);

// The inverse: which part, layer and expert a name denotes. nullopt for a name of no part.
struct PartAddress {
  Part part;
  int64_t layer = 0;
  int64_t expert = 0;
  bool operator==(const PartAddress&) const = default;
};
std::optional<PartAddress> parse_hf_tensor_name(const Naming& naming, std::string_view name);
std::optional<PartAddress> parse_gguf_tensor_name(const Naming& naming, std::string_view name);

}  // namespace headgate
