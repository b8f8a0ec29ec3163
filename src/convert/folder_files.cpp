// GGUF metadata to the JSON files of a Hugging Face folder.
#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "convert/metadata.h"
#include "formats/gguf_writer.h"
#include "text/gguf_tokenizer.h"

namespace headgate {
namespace {

json::array integers(std::initializer_list<int64_t> values) {
  json::array array;
  for (const int64_t value : values) array.push_back(value);
  return array;
}

// fp32 values are written with the digits fp32 has, so that 1e-6 does not
// become 9.999999974752427e-07.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

json::object rope_scaling(const RopeConfig& rope) {
  json::object scaling;
  scaling["rope_type"] = "yarn";
  scaling["factor"] = rope.factor;
  scaling["original_max_position_embeddings"] = rope.original_context;
  scaling["beta_fast"] = rope.beta_fast;
  scaling["beta_slow"] = rope.beta_slow;
  if (rope.attention_factor) scaling["attention_factor"] = *rope.attention_factor;
  return scaling;
}

void add_rope(json::object& out, const ModelConfig& c, bool nested) {
  const double fraction =
      static_cast<double>(c.attention.rotary_dims) / static_cast<double>(c.attention.head_dim);
  if (!nested) {
    out["rope_theta"] = c.rope.theta;
    out["rope_scaling"] = c.rope.yarn ? json::value(rope_scaling(c.rope)) : json::value(nullptr);
    if (c.recurrent_layers() > 0) out["partial_rotary_factor"] = fraction;
    return;
  }
  json::object parameters = c.rope.yarn ? rope_scaling(c.rope) : json::object();
  if (!c.rope.yarn) parameters["rope_type"] = "default";
  parameters["rope_theta"] = c.rope.theta;
  parameters["partial_rotary_factor"] = fraction;
  const int64_t half = c.attention.rotary_dims / 2;
  parameters["mrope_section"] = integers({half - half / 3 - half / 3, half / 3, half / 3});
  parameters["mrope_interleaved"] = true;
  out["rope_parameters"] = parameters;
}

void add_delta_net(json::object& out, const ModelConfig& c) {
  out["linear_conv_kernel_dim"] = c.delta.conv_kernel;
  out["linear_num_key_heads"] = c.delta.shape.key_heads;
  out["linear_num_value_heads"] = c.delta.shape.value_heads;
  out["linear_key_head_dim"] = c.delta.shape.key_dim;
  out["linear_value_head_dim"] = c.delta.shape.value_dim;
  json::array types;
  for (const Mixer mixer : c.mixers) {
    types.push_back(mixer == Mixer::kAttention ? "full_attention" : "linear_attention");
  }
  out["layer_types"] = types;
}

json::object decoder_config(const ModelConfig& c, bool nested) {
  json::object out;
  out["vocab_size"] = c.vocabulary;
  out["hidden_size"] = c.hidden_size;
  out["intermediate_size"] = c.dense_width;
  out["num_hidden_layers"] = c.layers;
  out["num_attention_heads"] = c.attention.heads;
  out["num_key_value_heads"] = c.attention.kv_heads;
  out["head_dim"] = c.attention.head_dim;
  out["hidden_act"] = "silu";
  out["attention_bias"] = false;
  out["rms_norm_eps"] = shortest(c.norm_eps);
  out["max_position_embeddings"] = c.context_length;
  add_rope(out, c, nested);
  if (c.recurrent_layers() > 0) add_delta_net(out, c);
  if (c.moe.experts > 0) {
    out["num_experts"] = c.moe.experts;
    out["num_experts_per_tok"] = c.moe.experts_per_token;
    out["moe_intermediate_size"] = c.moe.expert_width;
    if (c.moe.shared_width > 0) out["shared_expert_intermediate_size"] = c.moe.shared_width;
    if (!nested) {
      out["norm_topk_prob"] = c.moe.renormalise;
      out["decoder_sparse_step"] = 1;
      out["mlp_only_layers"] = json::array();
    }
  }
  if (nested && c.mtp_layers > 0) out["mtp_num_hidden_layers"] = c.mtp_layers;
  out["tie_word_embeddings"] = c.tied_embeddings;
  if (c.bos_token) out["bos_token_id"] = *c.bos_token;
  if (!c.eos_tokens.empty()) out["eos_token_id"] = c.eos_tokens.front();
  return out;
}

std::string_view class_name(std::string_view family) {
  if (family == "qwen3_next") return "Qwen3NextForCausalLM";
  if (family == "qwen3_moe") return "Qwen3MoeForCausalLM";
  if (family == "qwen3_5_moe") return "Qwen3_5MoeForConditionalGeneration";
  if (family == "qwen3_5") return "Qwen3_5ForConditionalGeneration";
  return "Qwen3ForCausalLM";
}

json::object make_config(const ModelConfig& c, DType matrix_type) {
  const bool nested = c.family.starts_with("qwen3_5");
  json::object out;
  out["architectures"] = json::array{json::string(class_name(c.family))};
  out["model_type"] = c.family;
  out["dtype"] = matrix_type == DType::kF32   ? "float32"
                 : matrix_type == DType::kF16 ? "float16"
                                              : "bfloat16";
  json::object decoder = decoder_config(c, nested);
  if (nested) {
    decoder["model_type"] = c.family + "_text";
    out["tie_word_embeddings"] = c.tied_embeddings;
    out["text_config"] = decoder;
  } else {
    for (const auto& [key, value] : decoder) out[key] = value;
  }
  return out;
}

json::object make_generation_config(const GgufMetadata& metadata, const ModelConfig& c) {
  json::object out;
  json::array eos;
  for (const int32_t token : c.eos_tokens) eos.push_back(token);
  if (c.bos_token) out["bos_token_id"] = *c.bos_token;
  out["eos_token_id"] = eos;
  if (c.pad_token) out["pad_token_id"] = *c.pad_token;
  const auto temperature = metadata.number("general.sampling.temp");
  out["do_sample"] = temperature.value_or(0) > 0;
  if (temperature) out["temperature"] = shortest(static_cast<float>(*temperature));
  if (const auto k = metadata.integer("general.sampling.top_k")) out["top_k"] = *k;
  if (const auto p = metadata.number("general.sampling.top_p"))
    out["top_p"] = shortest(static_cast<float>(*p));
  return out;
}

GgufTokenizer read_tokenizer(const GgufMetadata& m) {
  GgufTokenizer t;
  t.model = m.text("tokenizer.ggml.model").value_or("");
  t.pre = m.text("tokenizer.ggml.pre").value_or("");
  if (const auto* tokens = m.texts("tokenizer.ggml.tokens")) t.tokens = *tokens;
  if (const auto* merges = m.texts("tokenizer.ggml.merges")) t.merges = *merges;
  for (const int64_t type :
       m.integers("tokenizer.ggml.token_type").value_or(std::vector<int64_t>{})) {
    t.types.push_back(static_cast<int32_t>(type));
  }
  t.eos_id = m.integer("tokenizer.ggml.eos_token_id");
  t.eot_id = m.integer("tokenizer.ggml.eot_token_id");
  t.bos_id = m.integer("tokenizer.ggml.bos_token_id");
  t.pad_id = m.integer("tokenizer.ggml.padding_token_id");
  return t;
}

json::object byte_level(bool trim_offsets) {
  json::object out;
  out["type"] = "ByteLevel";
  out["add_prefix_space"] = false;
  out["trim_offsets"] = trim_offsets;
  out["use_regex"] = false;
  return out;
}

// Added tokens that Qwen's own files do not call special although GGUF files mark them as control
// tokens.
bool is_plain_added(std::string_view content) {
  constexpr std::string_view kPlain[] = {"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
                                         "<|fim_pad|>",    "<|repo_name|>",  "<|file_sep|>"};
  return std::find(std::begin(kPlain), std::end(kPlain), content) != std::end(kPlain);
}

json::object added_token(const AddedToken& token) {
  json::object out;
  out["id"] = token.id;
  out["content"] = token.content;
  out["single_word"] = false;
  out["lstrip"] = token.lstrip;
  out["rstrip"] = token.rstrip;
  out["normalized"] = token.normalized;
  out["special"] = token.special && !is_plain_added(token.content);
  return out;
}

// tokenizer.json as PyPI `tokenizers` reads it.
json::object make_tokenizer_json(const TokenizerParts& parts) {
  json::object vocabulary;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    if (!parts.tokens[id].empty()) vocabulary[parts.tokens[id]] = static_cast<int64_t>(id);
  }
  json::array added, merges;
  for (const AddedToken& token : parts.added) {
    vocabulary.erase(token.content);
    added.push_back(added_token(token));
  }
  for (const std::string& merge : parts.merges) merges.push_back(json::string(merge));
  json::object split;
  split["type"] = "Split";
  split["pattern"] = json::object{{"Regex", pre_tokenizer_regex(parts.pre)}};
  split["behavior"] = "Isolated";
  split["invert"] = false;
  json::object pre;
  pre["type"] = "Sequence";
  pre["pretokenizers"] = json::array{split, byte_level(false)};
  json::object model;
  model["type"] = "BPE";
  model["dropout"] = nullptr;
  model["unk_token"] = nullptr;
  model["continuing_subword_prefix"] = "";
  model["end_of_word_suffix"] = "";
  model["fuse_unk"] = false;
  model["byte_fallback"] = false;
  model["ignore_merges"] = parts.ignore_merges;
  model["vocab"] = vocabulary;
  model["merges"] = merges;
  json::object out;
  out["version"] = "1.0";
  out["truncation"] = nullptr;
  out["padding"] = nullptr;
  out["added_tokens"] = added;
  out["normalizer"] = parts.nfc ? json::value(json::object{{"type", "NFC"}}) : json::value(nullptr);
  out["pre_tokenizer"] = pre;
  out["post_processor"] = byte_level(false);
  out["decoder"] = byte_level(false);
  out["model"] = model;
  return out;
}

json::object make_tokenizer_config(const TokenizerParts& parts, const ModelConfig& c,
                                   const std::string& chat_template) {
  const auto content = [&](std::optional<int32_t> id) -> json::value {
    for (const AddedToken& token : parts.added) {
      if (id && token.id == *id) return json::string(token.content);
    }
    return nullptr;
  };
  json::object out;
  out["add_bos_token"] = false;
  out["add_prefix_space"] = false;
  out["bos_token"] = nullptr;
  out["eos_token"] = c.eos_tokens.empty() ? json::value(nullptr) : content(c.eos_tokens.front());
  out["pad_token"] = content(c.pad_token);
  out["unk_token"] = nullptr;
  out["model_max_length"] = c.context_length;
  out["tokenizer_class"] =
      parts.pre == PreTokenizer::kQwen2 ? "Qwen2Tokenizer" : "Qwen3_5Tokenizer";
  if (!chat_template.empty()) out["chat_template"] = chat_template;
  return out;
}

void write_json(const std::string& path, const json::object& object) {
  write_text_file(path, dump_json_python(object, 2) + "\n");
}

}  // namespace

void write_folder_files(const Checkpoint& gguf, const ModelConfig& config, DType matrix_type,
                        const std::string& folder) {
  const GgufMetadata& metadata = gguf.gguf;
  const auto write = [&](const char* file, const char* key, const auto& make) {
    const std::string path = folder + "/" + file;
    if (const auto kept = metadata.text(key)) {
      write_text_file(path, *kept);
    } else {
      write_json(path, make());
    }
  };
  write("config.json", "headgate.hf.config", [&] { return make_config(config, matrix_type); });
  write("generation_config.json", "headgate.hf.generation_config",
        [&] { return make_generation_config(metadata, config); });
  if (metadata.texts("tokenizer.ggml.tokens") != nullptr) {
    const TokenizerParts parts = parts_from_gguf(read_tokenizer(metadata), gguf.path);
    const std::string chat_template = metadata.text("tokenizer.chat_template").value_or("");
    write_json(folder + "/tokenizer.json", make_tokenizer_json(parts));
    write("tokenizer_config.json", "headgate.hf.tokenizer_config",
          [&] { return make_tokenizer_config(parts, config, chat_template); });
    if (!chat_template.empty()) write_text_file(folder + "/chat_template.jinja", chat_template);
  }
  GgufMetadata kept = metadata;
  for (const char* key : {"split.no", "split.count", "split.tensors.count"}) kept.remove(key);
  const int64_t alignment = kept.integer("general.alignment").value_or(32);
  write_text_file(folder + "/gguf_metadata.gguf", encode_gguf_header(kept, {}, alignment));
}

}  // namespace headgate
