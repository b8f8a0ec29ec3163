// Reads the text side of Hugging Face folders and GGUF metadata.
#include "chat/checkpoint_text.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/gguf_tokenizer.h"

namespace headgate {
namespace {

constexpr int64_t kMaxTemplateBytes = int64_t{4} << 20;
constexpr int64_t kMaxConfigBytes = int64_t{64} << 20;

std::optional<int64_t> token_id(const GgufMetadata& gguf, const char* key) {
  return gguf.integer(key);
}

// A number of generation_config.json within [low, high]; nullopt when absent or null.
std::optional<double> config_number(const json::object& config, const char* key, double low,
                                    double high, const std::string& source) {
  const json::value* value = config.if_contains(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_number()) {
    fail(ErrorCode::kInvalidFile, "{}: {}: found {}, expected a number", source, key,
         json::to_string(value->kind()));
  }
  const auto number = value->to_number<double>();
  if (!(number >= low && number <= high)) {
    fail(ErrorCode::kInvalidFile, "{}: {}: found {}, expected {} to {}", source, key, number, low,
         high);
  }
  return number;
}

constexpr double kLargest = std::numeric_limits<float>::max();

void apply_generation_config(const json::object& config, const std::string& source,
                             SamplingParams& params) {
  if (const auto v = config_number(config, "temperature", 0, kLargest, source))
    params.temperature = static_cast<float>(*v);
  if (const auto v = config_number(config, "top_k", 0, 1e9, source))
    params.top_k = static_cast<int32_t>(*v);
  if (const auto v = config_number(config, "top_p", 0, 1, source); v && *v > 0)
    params.top_p = static_cast<float>(*v);
  if (const auto v = config_number(config, "min_p", 0, 1, source))
    params.min_p = static_cast<float>(*v);
  if (const auto v = config_number(config, "typical_p", 0, 1, source); v && *v > 0)
    params.typical_p = static_cast<float>(*v);
  if (const auto v = config_number(config, "repetition_penalty", 0, kLargest, source); v && *v > 0)
    params.repetition_penalty = static_cast<float>(*v);
  const json::value* sample = config.if_contains("do_sample");
  if (sample != nullptr && sample->is_bool() && !sample->get_bool()) params.temperature = 0;
}

void apply_gguf_sampling(const GgufMetadata& gguf, SamplingParams& params) {
  const auto number = [&](const char* key, double low, double high) {
    const std::optional<double> v = gguf.number(key);
    // A file of outside origin: a value that means nothing is as good as none.
    return v && *v >= low && *v <= high ? v : std::nullopt;
  };
  if (const auto v = number("general.sampling.temp", 0, kLargest))
    params.temperature = static_cast<float>(*v);
  if (const auto v = number("general.sampling.top_k", 0, 1e9))
    params.top_k = static_cast<int32_t>(*v);
  if (const auto v = number("general.sampling.top_p", 1e-9, 1))
    params.top_p = static_cast<float>(*v);
  if (const auto v = number("general.sampling.min_p", 0, 1)) params.min_p = static_cast<float>(*v);
  if (const auto v = number("general.sampling.penalty_repeat", 1e-9, kLargest))
    params.repetition_penalty = static_cast<float>(*v);
}

}  // namespace

std::string checkpoint_folder(const std::string& path) {
  if (is_directory(path)) return path;
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Tokenizer load_tokenizer_gguf(const GgufMetadata& gguf, const std::string& source) {
  const std::vector<std::string>* tokens = gguf.texts("tokenizer.ggml.tokens");
  if (tokens == nullptr) {
    fail(ErrorCode::kNotFound, "{}: no tokenizer: the key tokenizer.ggml.tokens is absent", source);
  }
  GgufTokenizer parts;
  parts.model = gguf.text("tokenizer.ggml.model").value_or("");
  parts.pre = gguf.text("tokenizer.ggml.pre").value_or("");
  parts.tokens = *tokens;
  if (const auto types = gguf.integers("tokenizer.ggml.token_type"))
    parts.types.assign(types->begin(), types->end());
  if (const auto* merges = gguf.texts("tokenizer.ggml.merges")) parts.merges = *merges;
  parts.eos_id = token_id(gguf, "tokenizer.ggml.eos_token_id");
  parts.bos_id = token_id(gguf, "tokenizer.ggml.bos_token_id");
  parts.pad_id = token_id(gguf, "tokenizer.ggml.padding_token_id");
  parts.eot_id = token_id(gguf, "tokenizer.ggml.eot_token_id");
  return tokenizer_from_gguf(parts, source);
}

Tokenizer load_tokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::kGguf)
    return load_tokenizer_gguf(checkpoint.gguf, checkpoint.path);
  return load_tokenizer_folder(checkpoint_folder(checkpoint.path));
}

std::string StoredTemplate::text() const {
  if (value.is_string()) return std::string(value.get_string());
  std::string first;
  for (const json::value& item : value.get_array()) {
    const json::object* named = item.if_object();
    const json::value* body = named != nullptr ? named->if_contains("template") : nullptr;
    if (body == nullptr || !body->is_string()) continue;
    const json::value* name = named->if_contains("name");
    if (name != nullptr && name->is_string() && name->get_string() == "default")
      return std::string(body->get_string());
    if (first.empty()) first = body->get_string();
  }
  return first;
}

std::optional<StoredTemplate> stored_template_of_folder(const std::string& folder) {
  const std::string own_file = folder + "/chat_template.jinja";
  if (file_exists(own_file))
    return StoredTemplate{json::value(read_text_file(own_file, kMaxTemplateBytes)), own_file};
  const std::string config_file = folder + "/tokenizer_config.json";
  if (!file_exists(config_file)) return std::nullopt;
  const json::value config = parse_json(read_text_file(config_file, kMaxConfigBytes), config_file);
  if (!config.is_object()) return std::nullopt;
  const json::value* value = config.get_object().if_contains("chat_template");
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_string() && !value->is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: chat_template: found {}, expected a string or a list",
         config_file, json::to_string(value->kind()));
  }
  return StoredTemplate{*value, config_file + ":chat_template"};
}

std::optional<StoredTemplate> stored_template(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::kHuggingFace)
    return stored_template_of_folder(checkpoint_folder(checkpoint.path));
  std::optional<std::string> text = checkpoint.gguf.text("tokenizer.chat_template");
  if (!text) return std::nullopt;
  return StoredTemplate{json::value(*text), checkpoint.path + ":tokenizer.chat_template"};
}

ChatTemplate compile_template(const std::optional<StoredTemplate>& stored) {
  return stored
             ? ChatTemplate::from_config(stored->value, stored->source)
             : ChatTemplate(ChatTemplate::built_in_source(/*thinking=*/false), "built-in template");
}

json::object special_token_texts(const Tokenizer& tokenizer) {
  json::object out;
  if (const auto id = tokenizer.bos_id()) out["bos_token"] = tokenizer.token_text(*id);
  if (!tokenizer.eos_ids().empty())
    out["eos_token"] = tokenizer.token_text(tokenizer.eos_ids().front());
  if (const auto id = tokenizer.pad_id()) out["pad_token"] = tokenizer.token_text(*id);
  return out;
}

SamplingParams sampling_defaults(const Checkpoint& checkpoint) {
  SamplingParams params;
  params.temperature = 0.7f;
  params.top_p = 0.8f;
  params.top_k = 20;
  if (checkpoint.format == CheckpointFormat::kGguf) {
    apply_gguf_sampling(checkpoint.gguf, params);
  } else if (!checkpoint.generation_config.empty()) {
    apply_generation_config(checkpoint.generation_config,
                            checkpoint_folder(checkpoint.path) + "/generation_config.json", params);
  }
  return params;
}

std::vector<int32_t> stop_tokens(const std::vector<int32_t>& of_checkpoint,
                                 const Tokenizer& tokenizer) {
  std::vector<int32_t> out = of_checkpoint;
  for (int32_t id : tokenizer.eos_ids())
    if (std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
  return out;
}

}  // namespace headgate
