// Qwen3-Next: three gated delta nets to one gated attention, experts with a shared one.
#include "model/families/family.h"

namespace headgate {
namespace {

void read(const ConfigSource& source, ModelConfig& c) {
  c.zero_centered_norm = true;
  c.attention.output_gate = true;
  read_decoder(source, c);
  read_rope(source, /*partial=*/0.25, c);
  read_gated_delta(source, c);
  read_moe(source, /*renormalise=*/true, c);
}

}  // namespace

const Family kQwen3Next{.name = "qwen3_next", .text_name = {}, .gguf = "qwen3next", .read = read};

}  // namespace headgate
