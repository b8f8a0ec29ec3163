// The geometries that synth knows by name.
#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "convert/synth.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

struct Preset {
  SynthPreset info;
  const char* config;
};

constexpr Preset kPresets[] = {
    {{"qwen3-next-80b", "Qwen3-Next-80B-A3B: 48 layers, 512 experts, MTP"},
     R"({"model_type": "qwen3_next", "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5120,
         "num_hidden_layers": 48, "full_attention_interval": 4, "num_attention_heads": 16,
         "num_key_value_heads": 2, "head_dim": 256, "partial_rotary_factor": 0.25, "rope_theta": 10000000,
         "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128,
         "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "num_experts": 512,
         "num_experts_per_tok": 10, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
         "norm_topk_prob": true, "max_position_embeddings": 262144, "rms_norm_eps": 1e-6})"},
    {{"qwen3-30b-a3b", "Qwen3-30B-A3B: 48 attention layers, 128 experts"},
     R"({"model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144,
         "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
         "rope_theta": 1000000, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
         "norm_topk_prob": true, "max_position_embeddings": 40960, "rms_norm_eps": 1e-6})"},
    {{"qwen3-32b", "Qwen3-32B: 64 dense layers"},
     R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 5120, "intermediate_size": 25600,
         "num_hidden_layers": 64, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
         "rope_theta": 1000000, "max_position_embeddings": 40960, "rms_norm_eps": 1e-6})"},
    {{"qwen3.5-35b-a3b", "Qwen3.5-35B-A3B text model: 40 layers, 256 experts, MTP"},
     R"({"model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text", "vocab_size": 248320,
         "hidden_size": 2048, "num_hidden_layers": 40, "full_attention_interval": 4, "num_attention_heads": 16,
         "num_key_value_heads": 2, "head_dim": 256, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
         "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
         "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
         "shared_expert_intermediate_size": 512, "max_position_embeddings": 262144, "rms_norm_eps": 1e-6,
         "rope_parameters": {"rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.25}}})"},
    {{"nano", "a Qwen3-Next of 4 layers and about 6 M parameters, for tests"},
     R"({"model_type": "qwen3_next", "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 512,
         "num_hidden_layers": 4, "full_attention_interval": 4, "num_attention_heads": 4,
         "num_key_value_heads": 1, "head_dim": 64, "partial_rotary_factor": 0.25, "rope_theta": 1000000,
         "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 64,
         "linear_value_head_dim": 64, "linear_conv_kernel_dim": 4, "num_experts": 16,
         "num_experts_per_tok": 2, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 128,
         "norm_topk_prob": true, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6})"},
};

json::value geometry(const SynthOptions& options) {
  if (!options.config_path.empty())
    return parse_json(read_text_file(options.config_path, 16 << 20), options.config_path);
  std::string names;
  for (const Preset& preset : kPresets) {
    if (preset.info.name == options.preset) return parse_json(preset.config, options.preset);
    names += (names.empty() ? "" : ", ") + std::string(preset.info.name);
  }
  fail(ErrorCode::kInvalidArgument, "preset: found {}, expected one of {}", options.preset, names);
}

}  // namespace

std::vector<SynthPreset> synth_presets() {
  std::vector<SynthPreset> presets;
  for (const Preset& preset : kPresets) presets.push_back(preset.info);
  return presets;
}

ModelConfig synth_config(const SynthOptions& options) {
  json::value config = geometry(options);
  if (!config.is_object())
    fail(ErrorCode::kInvalidArgument, "{}: found no JSON object", options.config_path);
  json::object* sizes = &config.get_object();
  if (json::value* text = sizes->if_contains("text_config"); text != nullptr && text->is_object()) {
    sizes = &text->get_object();
  }
  if (options.layers < 0 || options.experts < 0) {
    fail(ErrorCode::kInvalidArgument, "layers {} and experts {}, expected positive numbers",
         options.layers, options.experts);
  }
  if (options.layers > 0) {
    (*sizes)["num_hidden_layers"] = options.layers;
    sizes->erase("layer_types");
  }
  if (options.experts > 0) (*sizes)["num_experts"] = options.experts;
  Checkpoint checkpoint;
  checkpoint.path = options.config_path.empty() ? "preset " + options.preset : options.config_path;
  checkpoint.config = config.get_object();
  ModelConfig result = read_model_config(checkpoint);
  const json::value* tied = checkpoint.config.if_contains("tie_word_embeddings");
  result.tied_embeddings = tied != nullptr && tied->is_bool() && tied->get_bool();
  const bool has_module = result.family == "qwen3_next" || result.family.starts_with("qwen3_5");
  result.mtp_layers = options.mtp && has_module ? 1 : 0;
  return result;
}

}  // namespace headgate
