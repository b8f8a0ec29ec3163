// Tests of tensor names: both directions agree, in both formats.
#include "model/tensor_names.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

Naming naming() {
  Naming n;
  n.trunk_layers = 48;
  return n;
}

TEST(TensorNames, EveryNameParsesBackToItsPart) {
  for (const std::string_view root : {"model.", "model.language_model."}) {
    Naming n = naming();
    n.hf_root = root;
    for (const PartName& p : part_names()) {
      const int64_t layer = p.scope == PartScope::kModel ? 0 : p.scope == PartScope::kMtp ? 48 : 17;
      const int64_t expert = p.scope == PartScope::kExpert ? 511 : 0;
      const PartAddress address{p.part, layer, expert};
      if (!p.hf.empty()) {
        const std::string name = hf_tensor_name(n, p.part, layer, expert);
        EXPECT_EQ(parse_hf_tensor_name(n, name), address) << name;
      }
      if (!p.gguf.empty()) {
        const std::string name = gguf_tensor_name(n, p.part, layer);
        EXPECT_EQ(parse_gguf_tensor_name(n, name), address) << name;
      }
    }
  }
}

TEST(TensorNames, KnownNames) {
  const Naming n = naming();
  EXPECT_EQ(hf_tensor_name(n, Part::kExpertDown, 3, 12),
            "model.layers.3.mlp.experts.12.down_proj.weight");
  EXPECT_EQ(hf_tensor_name(n, Part::kLmHead), "lm_head.weight");
  EXPECT_EQ(hf_tensor_name(n, Part::kQuery, 48), "mtp.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(hf_tensor_name(n, Part::kMtpInput, 48), "mtp.fc.weight");
  EXPECT_EQ(gguf_tensor_name(n, Part::kMtpInput, 48), "blk.48.nextn.eh_proj.weight");
  EXPECT_EQ(gguf_tensor_name(n, Part::kDeltaDecay, 0), "blk.0.ssm_a");
  EXPECT_EQ(gguf_tensor_name(n, Part::kExpertDown, 0), "");
  Naming qwen3 = n;
  qwen3.gguf_mlp_norm = "ffn_norm.weight";
  EXPECT_EQ(gguf_tensor_name(qwen3, Part::kMlpNorm, 5), "blk.5.ffn_norm.weight");
}

TEST(TensorNames, NamesOfNoPartAreRefused) {
  const Naming n = naming();
  for (const char* name :
       {"", "model.", "model.layers.", "model.layers.0", "model.layers.x.mlp.gate.weight",
        "model.layers.-1.mlp.gate.weight", "model.layers.00.mlp.gate.weight",
        "model.layers.48.mlp.gate.weight", "model.layers.99999999999999999999.mlp.gate.weight",
        "model.layers.0.mlp.experts..up_proj.weight", "model.layers.0.mlp.experts.1.up_proj",
        "model.lm_head.weight", "lm_head", "mtp.embed_tokens.weight", "model.visual.patch"})
    EXPECT_FALSE(parse_hf_tensor_name(n, name)) << name;
  for (const char* name :
       {"", "blk.", "blk.0.", "blk.0.nextn.eh_proj.weight", "blk.1.attn_q", "blk.01.attn_q.weight"})
    EXPECT_FALSE(parse_gguf_tensor_name(n, name)) << name;
}

}  // namespace
}  // namespace headgate
