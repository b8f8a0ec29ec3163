// Finding the family of a checkpoint and reading its configuration.
#include "model/config.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/config_source.h"
#include "model/families/family.h"

namespace headgate {
namespace {

constexpr double kMostParameters = 1e15;

bool is_of(const Family& family, const ConfigSource& source) {
  const auto& types = source.types();
  const auto named = [&](std::string_view name) {
    return !name.empty() && std::find(types.begin(), types.end(), name) != types.end();
  };
  return source.is_gguf() ? named(family.gguf) : named(family.name) || named(family.text_name);
}

const Family& find_family(const ConfigSource& source) {
  std::string known;
  for (const Family* family : families()) {
    if (is_of(*family, source)) return *family;
    known +=
        (known.empty() ? "" : ", ") + std::string(source.is_gguf() ? family->gguf : family->name);
  }
  fail(ErrorCode::kUnsupported, "{}: model type '{}', expected one of {}", source.file(),
       source.types().empty() ? "" : source.types().front(), known);
}

const Family& family_named(std::string_view name) {
  for (const Family* family : families()) {
    if (family->name == name) return *family;
  }
  fail(ErrorCode::kInternal, "no family '{}'", name);
}

// Layers whose weights cannot exist, and totals beyond any file.
void check_sizes(const ConfigSource& source, const ModelConfig& c) {
  const bool any_dense =
      std::find(c.moe_layers.begin(), c.moe_layers.end(), false) != c.moe_layers.end();
  if (any_dense && c.dense_width == 0)
    source.reject({"intermediate_size", "feed_forward_length"}, "nothing",
                  "a width, since some layers are dense");
  const auto product = [](auto... factors) { return (1.0 * ... * static_cast<double>(factors)); };
  const AttentionConfig& a = c.attention;
  const double attention = product(c.hidden_size, 2 * a.heads + a.kv_heads, a.head_dim, 2);
  const double delta = product(c.hidden_size, 2 * c.delta.conv_channels());
  const double mlp = product(c.hidden_size, 3, c.moe.experts, c.moe.expert_width) +
                     product(c.hidden_size, 3, c.moe.shared_width + c.dense_width);
  const double total = product(c.vocabulary, c.hidden_size, 2) +
                       static_cast<double>(c.layers + c.mtp_layers) * (attention + delta + mlp);
  if (!(total <= kMostParameters))
    fail(ErrorCode::kInvalidFile, "{}: sizes of about {:.3g} parameters, expected at most {:.3g}",
         source.file(), total, kMostParameters);
}

// The checkpoints' own configs do not count these modules reliably; their tensors do.
int64_t count_mtp_layers(const Checkpoint& checkpoint, const Naming& naming) {
  const bool gguf = checkpoint.format == CheckpointFormat::kGguf;
  const auto present = [&](int64_t module, Part part) {
    const int64_t layer = naming.trunk_layers + module;
    const std::string name =
        gguf ? gguf_tensor_name(naming, part, layer) : hf_tensor_name(naming, part, layer);
    return checkpoint.tensors.find(name) != nullptr;
  };
  constexpr int64_t kMostModules = 64;
  int64_t modules = 0;
  if (gguf || present(0, Part::kMtpInput)) {
    while (modules < kMostModules && present(modules, gguf ? Part::kMtpInput : Part::kMixerNorm))
      ++modules;
  }
  return modules;
}

void add_tokens(const ConfigSource& source, const std::optional<std::vector<int64_t>>& ids,
                std::string_view key, std::vector<int32_t>& out) {
  for (const int64_t id : ids.value_or(std::vector<int64_t>{})) {
    if (id < 0 || id > INT32_MAX)
      fail(ErrorCode::kInvalidFile, "{}: {}: found {}, expected a token id", source.file(), key,
           id);
    const auto token = static_cast<int32_t>(id);
    if (std::find(out.begin(), out.end(), token) == out.end()) out.push_back(token);
  }
}

std::optional<int32_t> first_token(const std::vector<int32_t>& tokens) {
  return tokens.empty() ? std::nullopt : std::optional(tokens.front());
}

void read_special_tokens(const ConfigSource& source, ModelConfig& c) {
  const Checkpoint& checkpoint = source.checkpoint();
  std::vector<int32_t> bos, pad;
  if (source.is_gguf()) {
    const auto add = [&](std::string_view key, std::vector<int32_t>& out) {
      add_tokens(source, checkpoint.gguf.integers(key), key, out);
    };
    for (const std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"})
      add(key, c.eos_tokens);
    add("tokenizer.ggml.bos_token_id", bos);
    add("tokenizer.ggml.padding_token_id", pad);
  } else {
    Checkpoint
        generation;  // only its config is read: the generation defaults, by the same functions
    generation.path = checkpoint.path;
    generation.config = checkpoint.generation_config;
    const ConfigSource defaults(generation);
    for (const ConfigSource* s : {&defaults, &source}) {
      const auto add = [&](std::string_view key, std::vector<int32_t>& out) {
        add_tokens(source, s->find_integers({key, ""}), key, out);
      };
      add("eos_token_id", c.eos_tokens);
      add("bos_token_id", bos);
      add("pad_token_id", pad);
    }
  }
  c.bos_token = first_token(bos);
  c.pad_token = first_token(pad);
}

bool has_output_head(const Checkpoint& checkpoint) {
  const std::string_view name =
      checkpoint.format == CheckpointFormat::kGguf ? "output.weight" : "lm_head.weight";
  return checkpoint.tensors.find(name) != nullptr;
}

}  // namespace

int64_t ModelConfig::attention_layers() const {
  return std::count(mixers.begin(), mixers.end(), Mixer::kAttention);
}

int64_t ModelConfig::recurrent_layers() const {
  return std::count(mixers.begin(), mixers.end(), Mixer::kGatedDelta);
}

ModelConfig read_model_config(const Checkpoint& checkpoint) {
  const ConfigSource source(checkpoint);
  const Family& family = find_family(source);
  ModelConfig config;
  config.family = family.name;
  family.read(source, config);
  // Missing in GGUF files and in some configs: the tensors tell.
  config.tied_embeddings =
      source.flag_or({"tie_word_embeddings", ""}, !has_output_head(checkpoint));
  config.delta.shape.tiled = source.is_gguf() && family.tiled_in_gguf;
  config.mtp_layers = count_mtp_layers(checkpoint, tensor_naming(config, checkpoint));
  read_special_tokens(source, config);
  check_sizes(source, config);
  return config;
}

Naming tensor_naming(const ModelConfig& config, const Checkpoint& checkpoint) {
  const Family& family = family_named(config.family);
  Naming naming;
  naming.trunk_layers = config.layers;
  naming.zero_centered_norm = config.zero_centered_norm;
  naming.tiled_value_heads = family.tiled_in_gguf;
  naming.gguf_mlp_norm = family.gguf_mlp_norm;
  constexpr std::string_view kMultimodalRoot = "model.language_model.";
  const TensorStore& tensors = checkpoint.tensors;
  if (tensors.find(std::string(kMultimodalRoot) + "embed_tokens.weight") != nullptr)
    naming.hf_root = kMultimodalRoot;
  return naming;
}

std::string_view gguf_architecture(const ModelConfig& config) {
  return family_named(config.family).gguf;
}

}  // namespace headgate
