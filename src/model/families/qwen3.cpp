// Qwen3: dense decoder, plain norms, attention over whole heads.
#include "model/families/family.h"

namespace headgate {
namespace {

void read(const ConfigSource& source, ModelConfig& c) {
  read_decoder(source, c);
  read_rope(source, /*partial=*/1.0, c);
  all_attention(source, c);
  c.moe_layers.assign(static_cast<size_t>(c.layers), false);
}

}  // namespace

const Family kQwen3{.name = "qwen3",
                    .text_name = {},
                    .gguf = "qwen3",
                    .read = read,
                    .gguf_mlp_norm = "ffn_norm.weight"};

}  // namespace headgate
