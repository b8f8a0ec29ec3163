// Qwen3-MoE: Qwen3 with routed experts and no shared one.
#include "model/families/family.h"

namespace headgate {
namespace {

void read(const ConfigSource& source, ModelConfig& c) {
  read_decoder(source, c);
  read_rope(source, /*partial=*/1.0, c);
  all_attention(source, c);
  // transformers' class default; GGUF files have no key and llama.cpp always renormalises.
  read_moe(source, /*renormalise=*/source.is_gguf(), c);
}

}  // namespace

const Family kQwen3Moe{.name = "qwen3_moe",
                       .text_name = {},
                       .gguf = "qwen3moe",
                       .read = read,
                       .gguf_mlp_norm = "ffn_norm.weight"};

}  // namespace headgate
