// Qwen3.5, dense and MoE, text part: Qwen3-Next with split delta inputs inside a multimodal
// wrapper.
#include "model/families/family.h"

namespace headgate {
namespace {

void read_common(const ConfigSource& source, ModelConfig& c) {
  c.zero_centered_norm = true;
  c.attention.output_gate = source.flag_or({"attn_output_gate", ""}, true);
  read_decoder(source, c);
  read_rope(source, /*partial=*/0.25, c);
  read_gated_delta(source, c);
}

void read_dense(const ConfigSource& source, ModelConfig& c) {
  read_common(source, c);
  c.moe_layers.assign(static_cast<size_t>(c.layers), false);
}

void read_experts(const ConfigSource& source, ModelConfig& c) {
  read_common(source, c);
  read_moe(source, /*renormalise=*/true, c);
}

}  // namespace

const Family kQwen35{.name = "qwen3_5",
                     .text_name = "qwen3_5_text",
                     .gguf = "qwen35",
                     .read = read_dense,
                     .tiled_in_gguf = true};
const Family kQwen35Moe{.name = "qwen3_5_moe",
                        .text_name = "qwen3_5_moe_text",
                        .gguf = "qwen35moe",
                        .read = read_experts,
                        .tiled_in_gguf = true};

}  // namespace headgate
