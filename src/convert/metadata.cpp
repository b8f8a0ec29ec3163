// config.json and its companions to GGUF metadata.
#include "convert/metadata.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf_reader.h"
#include "text/gguf_tokenizer.h"

namespace headgate {
namespace {

// Files of a folder that travel inside the GGUF, and the keys they travel under.
constexpr std::pair<const char*, const char*> kCompanions[] = {
    {"config.json", "headgate.hf.config"},
    {"generation_config.json", "headgate.hf.generation_config"},
    {"tokenizer_config.json", "headgate.hf.tokenizer_config"},
};

// The chat template of a folder: a file of its own, or a member of tokenizer_config.json (one, or
// named ones).
std::string read_chat_template(const std::string& folder) {
  if (file_exists(folder + "/chat_template.jinja"))
    return read_text_file(folder + "/chat_template.jinja", 4 << 20);
  const std::string path = folder + "/tokenizer_config.json";
  if (!file_exists(path)) return "";
  const json::value config = parse_json(read_text_file(path, 64 << 20), path);
  const json::value* found =
      config.is_object() ? config.get_object().if_contains("chat_template") : nullptr;
  if (found == nullptr) return "";
  if (found->is_string()) return std::string(found->get_string());
  if (!found->is_array()) return "";
  for (const json::value& named : found->get_array()) {
    if (!named.is_object()) continue;
    const json::value* name = named.get_object().if_contains("name");
    const json::value* text = named.get_object().if_contains("template");
    if (name != nullptr && name->is_string() && name->get_string() == "default" &&
        text != nullptr && text->is_string()) {
      return std::string(text->get_string());
    }
  }
  return "";
}

// Sets keys below the architecture's prefix.
class ArchitectureKeys {
 public:
  ArchitectureKeys(GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(std::string(architecture) + ".") {}
  void u32(std::string_view key, int64_t value) {
    metadata_.set_u32(prefix_ + std::string(key), value);
  }
  void f32(std::string_view key, double value) {
    metadata_.set_f32(prefix_ + std::string(key), static_cast<double>(static_cast<float>(value)));
  }
  void text(std::string_view key, std::string value) {
    metadata_.set_text(prefix_ + std::string(key), std::move(value));
  }
  void array(std::string_view key, GgufType element, std::vector<int64_t> items) {
    metadata_.set(prefix_ + std::string(key),
                  {GgufType::kArray, GgufArray{element, std::move(items)}});
  }

 private:
  GgufMetadata& metadata_;
  std::string prefix_;
};

void set_sampling(GgufMetadata& metadata, const json::object& generation) {
  const auto number = [&](const char* key) -> std::optional<double> {
    const json::value* value = generation.if_contains(key);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
  };
  if (const auto k = number("top_k")) {
    metadata.set("general.sampling.top_k", {GgufType::kI32, static_cast<int64_t>(*k)});
  }
  if (const auto p = number("top_p"))
    metadata.set_f32("general.sampling.top_p", static_cast<float>(*p));
  if (const auto t = number("temperature"))
    metadata.set_f32("general.sampling.temp", static_cast<float>(*t));
}

void set_rope(ArchitectureKeys& keys, const ModelConfig& c) {
  keys.f32("rope.freq_base", c.rope.theta);
  if (c.recurrent_layers() > 0) keys.u32("rope.dimension_count", c.attention.rotary_dims);
  if (!c.rope.yarn) return;
  keys.text("rope.scaling.type", "yarn");
  keys.f32("rope.scaling.factor", c.rope.factor);
  keys.u32("rope.scaling.original_context_length", c.rope.original_context);
  keys.f32("rope.scaling.yarn_beta_fast", c.rope.beta_fast);
  keys.f32("rope.scaling.yarn_beta_slow", c.rope.beta_slow);
  if (c.rope.attention_factor) keys.f32("rope.scaling.yarn_attn_factor", *c.rope.attention_factor);
}

void set_delta_net(ArchitectureKeys& keys, const ModelConfig& c, int64_t mtp_layers) {
  const DeltaShape& s = c.delta.shape;
  keys.u32("ssm.conv_kernel", c.delta.conv_kernel);
  keys.u32("ssm.state_size", s.key_dim);
  keys.u32("ssm.group_count", s.key_heads);
  keys.u32("ssm.time_step_rank", s.value_heads);
  keys.u32("ssm.inner_size", c.delta.value_width());
  std::vector<int64_t> recurrent;
  for (const Mixer mixer : c.mixers) recurrent.push_back(mixer == Mixer::kGatedDelta ? 1 : 0);
  recurrent.resize(recurrent.size() + static_cast<size_t>(mtp_layers), 0);
  keys.array("attention.recurrent_layers", GgufType::kBool, recurrent);
  // Older readers know only the interval: it is written where the pattern has one.
  const auto first =
      std::find(c.mixers.begin(), c.mixers.end(), Mixer::kAttention) - c.mixers.begin() + 1;
  bool regular = first <= c.layers;
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    regular = regular && ((layer + 1) % first == 0) ==
                             (c.mixers[static_cast<size_t>(layer)] == Mixer::kAttention);
  }
  if (regular) keys.u32("full_attention_interval", first);
}

void set_sizes(ArchitectureKeys& keys, const ModelConfig& c, int64_t mtp_layers) {
  keys.u32("block_count", c.layers + mtp_layers);
  keys.u32("context_length", c.context_length);
  keys.u32("embedding_length", c.hidden_size);
  if (c.dense_width > 0) keys.u32("feed_forward_length", c.dense_width);
  keys.u32("attention.head_count", c.attention.heads);
  keys.u32("attention.head_count_kv", c.attention.kv_heads);
  keys.u32("attention.key_length", c.attention.head_dim);
  keys.u32("attention.value_length", c.attention.head_dim);
  keys.f32("attention.layer_norm_rms_epsilon", static_cast<double>(c.norm_eps));
  if (c.moe.experts > 0) {
    keys.u32("expert_count", c.moe.experts);
    keys.u32("expert_used_count", c.moe.experts_per_token);
    keys.u32("expert_feed_forward_length", c.moe.expert_width);
    if (c.moe.shared_width > 0) keys.u32("expert_shared_feed_forward_length", c.moe.shared_width);
  }
  if (mtp_layers > 0) keys.u32("nextn_predict_layers", mtp_layers);
}

// llama.cpp's convention: whatever is spelled <|...|> controls, whether the folder calls it special
// or not.
void mark_control_tokens(GgufTokenizer& t) {
  for (size_t id = 0; id < t.types.size(); ++id) {
    const bool plain_added = t.types[id] == static_cast<int32_t>(GgufTokenType::kUserDefined);
    if (plain_added && t.tokens[id].starts_with("<|") && t.tokens[id].ends_with("|>")) {
      t.types[id] = static_cast<int32_t>(GgufTokenType::kControl);
    }
  }
}

GgufMetadata restored_metadata(const std::string& path, const ModelConfig& c, DType matrix_type) {
  TensorStore store;
  GgufMetadata metadata = read_gguf(store, store.add_file(MappedFile(path)));
  const std::string architecture(gguf_architecture(c));
  const int64_t blocks = metadata.integer(architecture + ".block_count").value_or(0);
  if (metadata.text("general.architecture") != architecture ||
      (blocks != c.layers && blocks != c.layers + c.mtp_layers)) {
    fail(ErrorCode::kInvalidFile, "{}: architecture {} with {} blocks, expected {} with {}", path,
         metadata.text("general.architecture").value_or("none"), blocks, architecture, c.layers);
  }
  // Files of unchanged type keep the exact bytes.
  if (metadata.integer("general.file_type") && is_quantized(matrix_type)) {
    metadata.set_u32("general.file_type", gguf_file_type(matrix_type));
  }
  return metadata;
}

bool has_tokenizer(const std::string& folder) {
  return file_exists(folder + "/tokenizer.json") || file_exists(folder + "/vocab.json");
}

}  // namespace

int64_t gguf_file_type(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return 12;
    case DType::kQ4_K:
      return 15;
    case DType::kQ5_K:
      return 17;
    case DType::kQ6_K:
      return 18;
    case DType::kIQ4_NL:
      return 25;
    case DType::kIQ4_XS:
      return 30;
    case DType::kBF16:
      return 32;
    case DType::kMXFP4:
      return 38;
    default:
      return 1024;  // "guessed" in llama.cpp's terms: no single type
  }
}

void add_tokenizer_metadata(GgufMetadata& metadata, const TokenizerParts& parts,
                            const ModelConfig& c) {
  GgufTokenizer t = gguf_from_parts(parts, c.vocabulary);
  mark_control_tokens(t);
  metadata.set_text("tokenizer.ggml.model", t.model);
  metadata.set_text("tokenizer.ggml.pre", t.pre);
  metadata.set("tokenizer.ggml.tokens", {GgufType::kArray, GgufArray{GgufType::kString, t.tokens}});
  metadata.set("tokenizer.ggml.token_type",
               {GgufType::kArray,
                GgufArray{GgufType::kI32, std::vector<int64_t>(t.types.begin(), t.types.end())}});
  metadata.set("tokenizer.ggml.merges", {GgufType::kArray, GgufArray{GgufType::kString, t.merges}});
  // The first stop id of generation_config is the one chats end with.
  const std::optional<int64_t> eos =
      c.eos_tokens.empty() ? t.eos_id : std::optional<int64_t>(c.eos_tokens.front());
  const std::optional<int64_t> pad = c.pad_token ? std::optional<int64_t>(*c.pad_token) : t.pad_id;
  const std::optional<int64_t> bos = c.bos_token ? std::optional<int64_t>(*c.bos_token) : t.bos_id;
  if (eos) metadata.set_u32("tokenizer.ggml.eos_token_id", *eos);
  if (pad) metadata.set_u32("tokenizer.ggml.padding_token_id", *pad);
  if (bos) metadata.set_u32("tokenizer.ggml.bos_token_id", *bos);
  metadata.set_bool("tokenizer.ggml.add_bos_token", false);
}

GgufMetadata make_model_metadata(const ModelConfig& config, const std::string& name,
                                 DType matrix_type, bool mtp) {
  GgufMetadata metadata;
  const std::string_view architecture = gguf_architecture(config);
  metadata.set_text("general.architecture", std::string(architecture));
  metadata.set_text("general.type", "model");
  metadata.set_text("general.name", name);
  metadata.set_u32("general.file_type", gguf_file_type(matrix_type));
  metadata.set_u32("general.quantization_version", 2);
  ArchitectureKeys keys(metadata, architecture);
  const int64_t mtp_layers = mtp ? config.mtp_layers : 0;
  set_sizes(keys, config, mtp_layers);
  set_rope(keys, config);
  if (config.recurrent_layers() > 0) set_delta_net(keys, config, mtp_layers);
  if (config.family.starts_with("qwen3_5")) {
    // Text positions are the same in all sections, so the split does not matter; llama.cpp asks for
    // it.
    const int64_t half = config.attention.rotary_dims / 2;
    const int64_t rest = half - half / 3 - half / 3;
    keys.array("rope.dimension_sections", GgufType::kI32, {rest, half / 3, half / 3, 0});
  }
  return metadata;
}

GgufMetadata make_gguf_metadata(const Checkpoint& folder, const ModelConfig& config,
                                const std::string& name, DType matrix_type, bool mtp) {
  const std::string kept = folder.path + "/gguf_metadata.gguf";
  if (file_exists(kept)) return restored_metadata(kept, config, matrix_type);
  GgufMetadata metadata = make_model_metadata(config, name, matrix_type, mtp);
  set_sampling(metadata, folder.generation_config);
  if (has_tokenizer(folder.path))
    add_tokenizer_metadata(metadata, read_tokenizer_folder(folder.path), config);
  const std::string chat_template = read_chat_template(folder.path);
  if (!chat_template.empty()) metadata.set_text("tokenizer.chat_template", chat_template);
  for (const auto& [file, key] : kCompanions) {
    const std::string path = folder.path + "/" + file;
    if (file_exists(path)) metadata.set_text(key, read_text_file(path, 64 << 20));
  }
  return metadata;
}

}  // namespace headgate
