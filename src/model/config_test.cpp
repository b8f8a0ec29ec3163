// Tests of configurations: every family's keys, sizes of the 80B model, and hostile values.
#include "model/config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

constexpr std::string_view kNext80B = R"({
  "architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next",
  "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643, "decoder_sparse_step": 1,
  "eos_token_id": 151645, "full_attention_interval": 4, "head_dim": 256, "hidden_act": "silu",
  "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 5120,
  "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
  "linear_num_value_heads": 32, "linear_value_head_dim": 128, "max_position_embeddings": 262144,
  "mlp_only_layers": [], "moe_intermediate_size": 512, "norm_topk_prob": true,
  "num_attention_heads": 16, "num_experts": 512, "num_experts_per_tok": 10, "num_hidden_layers": 48,
  "num_key_value_heads": 2, "output_router_logits": false, "partial_rotary_factor": 0.25,
  "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000000,
  "router_aux_loss_coef": 0.001, "shared_expert_intermediate_size": 512,
  "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 151936})";

Checkpoint checkpoint_of(std::string_view text) {
  Checkpoint checkpoint;
  checkpoint.path = "model";
  checkpoint.config = parse_json(text, "config.json").as_object();
  return checkpoint;
}

// The 80B configuration with one member replaced (or removed by "").
Checkpoint with(std::string_view key, std::string_view value) {
  Checkpoint checkpoint = checkpoint_of(kNext80B);
  if (value.empty()) {
    checkpoint.config.erase(key);
  } else {
    checkpoint.config[key] = parse_json(value, "test");
  }
  return checkpoint;
}

std::string error_of(const Checkpoint& checkpoint) {
  try {
    (void)read_model_config(checkpoint);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ModelConfig, ReadsThe80BModel) {
  Checkpoint checkpoint = checkpoint_of(kNext80B);
  checkpoint.generation_config =
      parse_json(R"({"eos_token_id": [151645, 151643], "pad_token_id": 151643})", "g").as_object();
  const ModelConfig c = read_model_config(checkpoint);
  EXPECT_EQ(c.family, "qwen3_next");
  EXPECT_EQ(c.attention_layers(), 12);
  EXPECT_EQ(c.recurrent_layers(), 36);
  EXPECT_EQ(c.mixers[3], Mixer::kAttention);
  EXPECT_EQ(c.attention.rotary_dims, 64);
  EXPECT_TRUE(c.attention.output_gate && c.zero_centered_norm && c.moe.renormalise);
  EXPECT_FALSE(c.tied_embeddings);
  EXPECT_EQ(c.rope.theta, 1e7);
  EXPECT_EQ(c.eos_tokens, (std::vector<int32_t>{151645, 151643}));
  EXPECT_EQ(c.bos_token, 151643);
  EXPECT_EQ(c.pad_token, 151643);
  EXPECT_EQ(c.mtp_layers, 0);
  EXPECT_EQ(gguf_architecture(c), "qwen3next");
}

TEST(ModelConfig, CountsThe80BModel) {
  ModelConfig c = read_model_config(checkpoint_of(kNext80B));
  c.mtp_layers = 1;
  const ModelSize s = model_size(c);
  EXPECT_EQ(s.parameters, 79'674'391'296);
  EXPECT_EQ(s.active_parameters, 3'563'764'480);
  EXPECT_EQ(s.mtp_parameters, 1'650'471'424);
  EXPECT_EQ(s.embedding, 311'164'928);
  EXPECT_EQ(s.lm_head, 311'164'928);
  EXPECT_EQ(s.delta_projections, 36 * 33'718'272);      // 1 214 M
  EXPECT_EQ(s.attention_projections, 12 * 27'262'976);  // 327 M
  EXPECT_EQ(s.router, 48 * 1'048'576);                  // 50 M
  EXPECT_EQ(s.shared_expert, 48 * 3'147'776);           // 151 M
  EXPECT_EQ(s.routed_experts_active, 1'509'949'440);    // 1 510 M
  EXPECT_EQ(s.dense_mlp, 0);
  EXPECT_EQ(s.kv_values_per_token * 2, 24 << 10);  // bytes in bf16
  EXPECT_EQ(s.delta_values * 4, 75'497'472);
  const StateSize state = state_size(c, DType::kBF16, 262144);
  EXPECT_EQ(state.kv_bytes_per_token, 24 << 10);
  EXPECT_EQ(state.kv_bytes, int64_t{6} << 30);
  EXPECT_EQ(state_size(c, DType::kI8, 1).kv_bytes, 12 * 2 * 2 * (256 + 4));
  EXPECT_EQ(state_size(c, DType::kQ4_0, 1).kv_bytes, 12 * 2 * 2 * (128 + 16));
  EXPECT_EQ(state.delta_bytes, 75'497'472);
  EXPECT_EQ(state.conv_bytes, 36 * 24'576 * 4);
  EXPECT_EQ(state.draft_bytes, 0);
  // Eight rows of 14,400 numbers in 36 layers, and 2 KiB a token for the MTP module's own keys.
  EXPECT_EQ(state_size(c, DType::kBF16, 1024, 8).draft_bytes,
            8 * 36 * 14'400 * 4 + (c.mtp_layers > 0 ? 1024 * 2048 : 0));
}

TEST(ModelConfig, MissingPartialRotaryFactorIsAQuarterForQwen3Next) {
  EXPECT_EQ(read_model_config(with("partial_rotary_factor", "")).attention.rotary_dims, 64);
}

TEST(ModelConfig, RopeKeysOldAndNew) {
  const std::string_view yarn =
      R"("rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 262144)";
  ModelConfig c = read_model_config(with("rope_scaling", "{" + std::string(yarn) + "}"));
  EXPECT_TRUE(c.rope.yarn);
  EXPECT_EQ(c.rope.factor, 4.0);
  EXPECT_EQ(c.rope.theta, 1e7);
  EXPECT_EQ(c.rope.beta_fast, 32.0);

  Checkpoint modern = with("rope_theta", "");
  modern.config.erase("partial_rotary_factor");
  modern.config.erase("rope_scaling");
  modern.config["rope_parameters"] = parse_json(
      "{" + std::string(yarn) +
          R"(, "rope_theta": 5000000, "partial_rotary_factor": 0.5, "beta_fast": 16, "beta_slow": 2,
                         "attention_factor": 1.5})",
      "test");
  c = read_model_config(modern);
  EXPECT_EQ(c.rope.theta, 5e6);
  EXPECT_EQ(c.attention.rotary_dims, 128);
  EXPECT_EQ(c.rope.beta_fast, 16.0);
  EXPECT_EQ(c.rope.beta_slow, 2.0);
  EXPECT_EQ(c.rope.attention_factor, 1.5);
  EXPECT_NE(error_of(with("rope_scaling", R"({"type": "longrope"})")), "");
}

TEST(ModelConfig, LayerTypesWinOverTheInterval) {
  Checkpoint checkpoint = with("num_hidden_layers", "3");
  checkpoint.config["layer_types"] =
      parse_json(R"(["full_attention", "linear_attention", "full_attention"])", "test");
  const ModelConfig c = read_model_config(checkpoint);
  EXPECT_EQ(c.mixers,
            (std::vector<Mixer>{Mixer::kAttention, Mixer::kGatedDelta, Mixer::kAttention}));
}

TEST(ModelConfig, DenseLayersAmongExperts) {
  Checkpoint checkpoint = with("decoder_sparse_step", "2");
  checkpoint.config["num_hidden_layers"] = 6;
  checkpoint.config["mlp_only_layers"] = parse_json("[3]", "test");
  EXPECT_EQ(read_model_config(checkpoint).moe_layers,
            (std::vector<bool>{false, true, false, false, false, true}));
}

TEST(ModelConfig, SistersDifferInTheirDefaults) {
  Checkpoint moe = with("model_type", R"("qwen3_moe")");
  moe.config.erase("norm_topk_prob");
  moe.config.erase("partial_rotary_factor");
  moe.config.erase("shared_expert_intermediate_size");
  ModelConfig c = read_model_config(moe);
  EXPECT_FALSE(c.moe.renormalise);
  EXPECT_FALSE(c.zero_centered_norm || c.attention.output_gate);
  EXPECT_EQ(c.moe.shared_width, 0);
  EXPECT_EQ(c.attention.rotary_dims, 256);
  EXPECT_EQ(c.recurrent_layers(), 0);

  Checkpoint wrapped;
  wrapped.path = "model";
  wrapped.config["model_type"] = "qwen3_5_moe";
  json::object inner = checkpoint_of(kNext80B).config;
  inner["model_type"] = "qwen3_5_moe_text";
  inner.erase("norm_topk_prob");
  wrapped.config["text_config"] = inner;
  c = read_model_config(wrapped);
  EXPECT_EQ(c.family, "qwen3_5_moe");
  EXPECT_TRUE(c.moe.renormalise);

  Checkpoint dense = with("model_type", R"("qwen3_5_text")");
  c = read_model_config(dense);
  EXPECT_EQ(c.family, "qwen3_5");
  EXPECT_EQ(c.moe_layers, std::vector<bool>(48, false));
}

TEST(ModelConfig, GgufKeysOfQwen3Next) {
  Checkpoint checkpoint;
  checkpoint.format = CheckpointFormat::kGguf;
  checkpoint.path = "model.gguf";
  GgufMetadata& g = checkpoint.gguf;
  g.set_text("general.architecture", "qwen3next");
  const std::pair<const char*, int64_t> integers[] = {{"vocab_size", 151936},
                                                      {"block_count", 49},
                                                      {"nextn_predict_layers", 1},
                                                      {"context_length", 262144},
                                                      {"embedding_length", 2048},
                                                      {"feed_forward_length", 5120},
                                                      {"attention.head_count", 16},
                                                      {"attention.head_count_kv", 2},
                                                      {"attention.key_length", 256},
                                                      {"attention.value_length", 256},
                                                      {"rope.dimension_count", 64},
                                                      {"expert_count", 512},
                                                      {"expert_used_count", 10},
                                                      {"expert_feed_forward_length", 512},
                                                      {"expert_shared_feed_forward_length", 512},
                                                      {"ssm.conv_kernel", 4},
                                                      {"ssm.state_size", 128},
                                                      {"ssm.group_count", 16},
                                                      {"ssm.time_step_rank", 32},
                                                      {"ssm.inner_size", 4096}};
  for (const auto& [key, value] : integers) g.set_u32(std::string("qwen3next.") + key, value);
  g.set_f32("qwen3next.rope.freq_base", 1e7);
  g.set_f32("qwen3next.attention.layer_norm_rms_epsilon", 1e-6);
  g.set_u32("tokenizer.ggml.eos_token_id", 151645);
  ModelConfig c = read_model_config(checkpoint);
  EXPECT_EQ(c.layers, 48);
  EXPECT_TRUE(c.tied_embeddings);  // no output.weight
  c.tied_embeddings = false;
  EXPECT_EQ(model_size(c).parameters, 79'674'391'296);
  EXPECT_EQ(c.eos_tokens, std::vector<int32_t>{151645});

  g.set_text("qwen3next.rope.scaling.type", "yarn");
  g.set_f32("qwen3next.rope.scaling.factor", 4);
  g.set_u32("qwen3next.rope.scaling.original_context_length", 65536);
  g.set_f32("qwen3next.rope.scaling.yarn_beta_fast", 24);
  c = read_model_config(checkpoint);
  EXPECT_EQ(c.rope.original_context, 65536);
  EXPECT_EQ(c.rope.beta_fast, 24.0);
  g.set_u32("qwen3next.ssm.inner_size", 4097);
  EXPECT_NE(error_of(checkpoint), "");
}

TEST(ModelConfig, ErrorsNameFileKeyFoundAndExpected) {
  EXPECT_EQ(error_of(with("hidden_size", "-3")),
            "model/config.json: hidden_size: found -3, expected 1 to 4194304");
  EXPECT_EQ(error_of(with("num_key_value_heads", "3")),
            "model/config.json: num_key_value_heads: found 3, expected a divisor of 16");
  EXPECT_EQ(error_of(with("hidden_size", "\"big\"")),
            "model/config.json: hidden_size: found \"big\", expected an integer");
  EXPECT_EQ(error_of(with("hidden_size", "")),
            "model/config.json: hidden_size: found nothing, expected an integer");
  EXPECT_NE(error_of(with("model_type", "\"llama\"")).find("'llama', expected one of qwen3_next"),
            std::string::npos);
}

TEST(ModelConfig, HostileValuesAreRefused) {
  const std::pair<const char*, const char*> bad[] = {
      {"num_hidden_layers", "0"},
      {"num_hidden_layers", "1e300"},
      {"num_hidden_layers", "9223372036854775807"},
      {"vocab_size", "-1"},
      {"vocab_size", "18446744073709551615"},
      {"hidden_size", "0"},
      {"hidden_size", "1.5"},
      {"num_attention_heads", "0"},
      {"num_attention_heads", "[16]"},
      {"num_key_value_heads", "0"},
      {"head_dim", "0"},
      {"head_dim", "-256"},
      {"head_dim", "100000"},
      {"linear_num_key_heads", "0"},
      {"linear_num_value_heads", "17"},
      {"linear_key_head_dim", "0"},
      {"linear_value_head_dim", "-1"},
      {"linear_conv_kernel_dim", "0"},
      {"linear_conv_kernel_dim", "64"},
      {"num_experts", "-5"},
      {"num_experts", "4000000000"},
      {"num_experts_per_tok", "0"},
      {"num_experts_per_tok", "513"},
      {"moe_intermediate_size", "0"},
      {"decoder_sparse_step", "0"},
      {"full_attention_interval", "0"},
      {"rms_norm_eps", "-1"},
      {"rms_norm_eps", "1e400"},
      {"rope_theta", "0"},
      {"rope_theta", "-1"},
      {"rope_theta", "1"},
      {"partial_rotary_factor", "2"},
      {"partial_rotary_factor", "0"},
      {"partial_rotary_factor", "-0.5"},
      {"max_position_embeddings", "0"},
      {"rope_scaling", "7"},
      {"rope_scaling", R"({"rope_type": "yarn"})"},
      {"rope_scaling", R"({"rope_type": "yarn", "factor": 0})"},
      {"layer_types", R"(["full_attention"])"},
      {"layer_types", R"("full_attention")"},
      {"layer_types", "[3]"},
      {"mlp_only_layers", R"(["0"])"},
      {"tie_word_embeddings", "1"},
      {"norm_topk_prob", "null and void"},
      {"hidden_act", R"("gelu")"},
      {"attention_bias", "true"},
      {"eos_token_id", "-2"},
      {"eos_token_id", R"("</s>")"},
      {"quantization_config", R"({"quant_method": "awq"})"},
      {"model_type", "3"}};
  for (const auto& [key, value] : bad) {
    std::string message;
    try {
      message = error_of(with(key, value));
    } catch (const Error&) {
      continue;  // not JSON at all: refused even earlier
    }
    EXPECT_NE(message, "") << key << " = " << value;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(ModelConfig, SizesBeyondAnyFileAreRefusedTogether) {
  Checkpoint checkpoint = with("num_experts", "16384");
  checkpoint.config["hidden_size"] = 1 << 22;
  checkpoint.config["moe_intermediate_size"] = 1 << 22;
  EXPECT_NE(error_of(checkpoint).find("parameters"), std::string::npos);
}

}  // namespace
}  // namespace headgate
