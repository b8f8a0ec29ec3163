// The groups of configuration keys that Qwen decoders share.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/families/family.h"

namespace headgate {
namespace {

// Far above any model, and small enough that no product of a few of them overflows.
constexpr int64_t kMostLayers = 1024;
constexpr int64_t kMostHeads = 1024;
constexpr int64_t kMostHeadDim = 1024;
constexpr int64_t kMostWidth = int64_t{1} << 22;
constexpr int64_t kMostExperts = int64_t{1} << 14;
constexpr int64_t kMostTokens = int64_t{1} << 28;
constexpr int64_t kMostVocabulary = int64_t{1} << 24;
constexpr int64_t kMostConvKernel = 16;  // the widest convolution backends have
constexpr double kMostTheta = 1e18;

int64_t read_vocabulary(const ConfigSource& source) {
  const ConfigKey key{"vocab_size", "vocab_size"};
  const std::optional<int64_t> found = source.find_integer(key, {1, kMostVocabulary});
  if (found) return *found;
  const TensorEntry* table = source.checkpoint().tensors.find("token_embd.weight");
  if (!source.is_gguf() || table == nullptr) source.reject(key, "nothing", "an integer");
  const int64_t rows = table->rows();
  if (rows < 1 || rows > kMostVocabulary)
    source.reject(key, fmt::format("a token table of {} rows", rows),
                  fmt::format("1 to {}", kMostVocabulary));
  return rows;
}

// block_count of a GGUF includes the multi-token-prediction modules.
int64_t read_layers(const ConfigSource& source) {
  const ConfigKey key{"num_hidden_layers", "block_count"};
  const int64_t blocks = source.integer(key, {1, kMostLayers});
  if (!source.is_gguf()) return blocks;
  const ConfigKey modules{"", "nextn_predict_layers"};
  return blocks - source.integer_or(modules, 0, {0, blocks - 1});
}

void refuse(const ConfigSource& source, std::string_view what) {
  fail(ErrorCode::kUnsupported, "{}: {}", source.file(), what);
}

void refuse_unsupported(const ConfigSource& source) {
  const std::string activation = source.find_text({"hidden_act", ""}).value_or("silu");
  if (activation != "silu" && activation != "swish")
    refuse(source, fmt::format("hidden_act: '{}', expected 'silu'", activation));
  if (source.flag_or({"attention_bias", ""}, false))
    refuse(source, "attention_bias: true, expected false");
  if (source.flag_or({"use_sliding_window", ""}, false))
    refuse(source, "use_sliding_window: true, expected false");
  if (const auto quantization = source.member("quantization_config")) {
    const std::string method = quantization->find_text({"quant_method", ""}).value_or("");
    if (method != "fp8")
      refuse(source, fmt::format("quantization_config: quant_method '{}', expected 'fp8'", method));
    const auto block = quantization->find_integers({"weight_block_size", ""});
    if (block && *block != std::vector<int64_t>{128, 128})
      refuse(source, "quantization_config: weight_block_size is not [128, 128]");
  }
}

void read_heads(const ConfigSource& source, ModelConfig& c) {
  AttentionConfig& a = c.attention;
  const ConfigKey heads{"num_attention_heads", "attention.head_count"};
  const ConfigKey kv_heads{"num_key_value_heads", "attention.head_count_kv"};
  const ConfigKey head_dim{"head_dim", "attention.key_length"};
  a.heads = source.integer(heads, {1, kMostHeads});
  a.kv_heads = source.integer_or(kv_heads, a.heads, {1, kMostHeads});
  if (a.heads % a.kv_heads != 0)
    source.reject(kv_heads, std::to_string(a.kv_heads), fmt::format("a divisor of {}", a.heads));
  const std::optional<int64_t> dim = source.find_integer(head_dim, {1, kMostHeadDim});
  if (!dim && c.hidden_size % a.heads != 0)
    source.reject(head_dim, "nothing",
                  fmt::format("a value, or heads that divide {}", c.hidden_size));
  a.head_dim = dim.value_or(c.hidden_size / a.heads);
  const ConfigKey value_dim{"", "attention.value_length"};
  if (source.integer_or(value_dim, a.head_dim, {1, kMostHeadDim}) != a.head_dim)
    source.reject(value_dim, "another value", std::to_string(a.head_dim));
}

// Where rope settings stand: a dictionary of its own (two spellings), or the top level.
struct RopeSources {
  std::optional<ConfigSource> inner;
  const ConfigSource* outer;

  std::optional<double> number(ConfigKey key, double least, double most) const {
    std::optional<double> found;
    if (inner) found = inner->find_number(key, least, most);
    return found ? found : outer->find_number(key, least, most);
  }
};

void read_yarn(const RopeSources& rope, const ConfigSource& source, RopeConfig& r) {
  const ConfigKey factor{"factor", "rope.scaling.factor"};
  const ConfigKey original{"original_max_position_embeddings",
                           "rope.scaling.original_context_length"};
  const ConfigSource& s = rope.inner ? *rope.inner : source;
  const std::optional<double> found = s.find_number(factor, 1.0, 1e6);
  if (!found) s.reject(factor, "nothing", "a number");
  r.yarn = true;
  r.factor = *found;
  r.original_context = s.integer_or(
      original, source.integer({"max_position_embeddings", "context_length"}, {1, kMostTokens}),
      {1, kMostTokens});
  // Zero means the default in transformers.
  const double fast = s.number_or({"beta_fast", "rope.scaling.yarn_beta_fast"}, 0, 0, 1e9);
  const double slow = s.number_or({"beta_slow", "rope.scaling.yarn_beta_slow"}, 0, 0, 1e9);
  if (fast > 0) r.beta_fast = fast;
  if (slow > 0) r.beta_slow = slow;
  r.attention_factor =
      s.find_number({"attention_factor", "rope.scaling.yarn_attn_factor"}, 1e-6, 1e6);
  // llama.cpp's own key multiplies YaRN's factor instead of replacing it.
  const auto multiplier = s.find_number({"", "rope.scaling.attn_factor"}, 1e-6, 1e6);
  if (multiplier && !r.attention_factor)
    r.attention_factor = *multiplier * (0.1 * std::log(r.factor) + 1.0);
  r.truncate = s.flag_or({"truncate", ""}, true);
}

void set_moe_layers(const ConfigSource& source, ModelConfig& c) {
  const int64_t step = source.integer_or({"decoder_sparse_step", ""}, 1, {1, kMostLayers});
  const std::vector<int64_t> dense =
      source.find_integers({"mlp_only_layers", ""}).value_or(std::vector<int64_t>{});
  c.moe_layers.assign(static_cast<size_t>(c.layers), false);
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const bool listed = std::find(dense.begin(), dense.end(), layer) != dense.end();
    bool moe = c.moe.experts > 0 && !listed && (layer + 1) % step == 0;
    // A GGUF has no such keys: a layer is dense when it has the tensors of a dense layer.
    if (source.is_gguf())
      moe = moe && source.checkpoint().tensors.find(fmt::format("blk.{}.ffn_gate.weight", layer)) ==
                       nullptr;
    c.moe_layers[static_cast<size_t>(layer)] = moe;
  }
}

Mixer parse_layer_type(const ConfigSource& source, ConfigKey key, std::string_view type) {
  if (type == "linear_attention") return Mixer::kGatedDelta;
  if (type == "full_attention") return Mixer::kAttention;
  source.reject(key, fmt::format("'{}'", type), "'linear_attention' or 'full_attention'");
}

void set_mixers(const ConfigSource& source, ModelConfig& c) {
  const ConfigKey types{"layer_types", ""};
  const ConfigKey recurrent{"", "attention.recurrent_layers"};
  c.mixers.clear();
  const auto check_count = [&](ConfigKey key, size_t count) {
    if (static_cast<int64_t>(count) < c.layers ||
        (!source.is_gguf() && static_cast<int64_t>(count) > c.layers))
      source.reject(key, fmt::format("{} layers", count), std::to_string(c.layers));
  };
  if (const auto names = source.find_texts(types)) {
    check_count(types, names->size());
    for (const std::string& name : *names)
      c.mixers.push_back(parse_layer_type(source, types, name));
    return;
  }
  if (const auto flags = source.find_integers(recurrent)) {
    check_count(recurrent, flags->size());
    for (int64_t layer = 0; layer < c.layers; ++layer)
      c.mixers.push_back((*flags)[static_cast<size_t>(layer)] != 0 ? Mixer::kGatedDelta
                                                                   : Mixer::kAttention);
    return;
  }
  const int64_t interval = source.integer_or({"full_attention_interval", "full_attention_interval"},
                                             4, {1, kMostLayers});
  for (int64_t layer = 0; layer < c.layers; ++layer)
    c.mixers.push_back((layer + 1) % interval == 0 ? Mixer::kAttention : Mixer::kGatedDelta);
}

}  // namespace

void read_decoder(const ConfigSource& source, ModelConfig& c) {
  refuse_unsupported(source);
  c.hidden_size = source.integer({"hidden_size", "embedding_length"}, {1, kMostWidth});
  c.layers = read_layers(source);
  c.vocabulary = read_vocabulary(source);
  c.dense_width =
      source.integer_or({"intermediate_size", "feed_forward_length"}, 0, {0, kMostWidth});
  c.context_length =
      source.integer_or({"max_position_embeddings", "context_length"}, 32768, {1, kMostTokens});
  c.norm_eps = static_cast<float>(
      source.number_or({"rms_norm_eps", "attention.layer_norm_rms_epsilon"}, 1e-6, 0.0, 1.0));
  read_heads(source, c);
}

void read_rope(const ConfigSource& source, double partial, ModelConfig& c) {
  RopeSources rope{source.member("rope_parameters"), &source};
  if (!rope.inner) rope.inner = source.member("rope_scaling");
  const ConfigSource& s = rope.inner ? *rope.inner : source;
  c.rope.theta =
      rope.number({"rope_theta", "rope.freq_base"}, 1.0 + 1e-9, kMostTheta).value_or(10000.0);

  std::string type = "default";
  if (source.is_gguf()) {
    type = source.find_text({"", "rope.scaling.type"}).value_or("none");
  } else if (rope.inner) {
    const auto named = s.find_text({"rope_type", ""});
    type = named ? *named : s.find_text({"type", ""}).value_or("default");
  }
  if (type == "yarn") {
    read_yarn(rope, source, c.rope);
  } else if (type != "default" && type != "none" && type != "mrope") {
    refuse(source, fmt::format("rope type '{}', expected 'default' or 'yarn'", type));
  }

  const ConfigKey share{"partial_rotary_factor", ""}, dims{"", "rope.dimension_count"};
  const double factor = rope.number(share, 0.0, 1.0).value_or(partial);
  const auto computed = static_cast<int64_t>(static_cast<double>(c.attention.head_dim) * factor);
  c.attention.rotary_dims = source.integer_or(dims, computed, {2, kMostHeadDim});
  const int64_t rotary = c.attention.rotary_dims;
  if (rotary < 2 || rotary % 2 != 0 || rotary > c.attention.head_dim)
    source.reject(source.is_gguf() ? dims : share, fmt::format("{} rotary dimensions", rotary),
                  fmt::format("an even number, 2 to {}", c.attention.head_dim));
}

void read_moe(const ConfigSource& source, bool renormalise, ModelConfig& c) {
  MoeConfig& m = c.moe;
  m.experts = source.integer_or({"num_experts", "expert_count"}, 0, {0, kMostExperts});
  if (m.experts > 0) {
    m.experts_per_token =
        source.integer({"num_experts_per_tok", "expert_used_count"}, {1, m.experts});
    m.expert_width =
        source.integer({"moe_intermediate_size", "expert_feed_forward_length"}, {1, kMostWidth});
    m.shared_width =
        source.integer_or({"shared_expert_intermediate_size", "expert_shared_feed_forward_length"},
                          0, {0, kMostWidth});
    m.renormalise = source.flag_or({"norm_topk_prob", ""}, renormalise);
  }
  set_moe_layers(source, c);
}

void read_gated_delta(const ConfigSource& source, ModelConfig& c) {
  set_mixers(source, c);
  if (c.recurrent_layers() == 0) return;
  DeltaShape& d = c.delta.shape;
  const ConfigKey value_heads{"linear_num_value_heads", "ssm.time_step_rank"};
  const ConfigKey inner{"", "ssm.inner_size"};
  d.key_heads = source.integer({"linear_num_key_heads", "ssm.group_count"}, {1, kMostHeads});
  d.value_heads = source.integer(value_heads, {1, kMostHeads});
  if (d.value_heads % d.key_heads != 0)
    source.reject(value_heads, std::to_string(d.value_heads),
                  fmt::format("a multiple of {}", d.key_heads));
  d.key_dim = source.integer({"linear_key_head_dim", "ssm.state_size"}, {1, kMostHeadDim});
  if (source.is_gguf()) {
    const int64_t width = source.integer(inner, {1, kMostHeads * kMostHeadDim});
    d.value_dim = width / d.value_heads;
    if (width % d.value_heads != 0 || d.value_dim > kMostHeadDim)
      source.reject(inner, std::to_string(width),
                    fmt::format("{} times 1 to {}", d.value_heads, kMostHeadDim));
  } else {
    d.value_dim = source.integer({"linear_value_head_dim", ""}, {1, kMostHeadDim});
  }
  c.delta.conv_kernel =
      source.integer_or({"linear_conv_kernel_dim", "ssm.conv_kernel"}, 4, {2, kMostConvKernel});
}

void all_attention(const ConfigSource& source, ModelConfig& c) {
  const ConfigKey types{"layer_types", ""};
  if (const auto names = source.find_texts(types)) {
    for (const std::string& name : *names) {
      if (name != "full_attention")
        source.reject(types, fmt::format("'{}'", name), "'full_attention'");
    }
  }
  c.mixers.assign(static_cast<size_t>(c.layers), Mixer::kAttention);
}

}  // namespace headgate
