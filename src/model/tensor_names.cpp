// The table of tensor names and its two directions.
#include "model/tensor_names.h"

#include <fmt/core.h>

#include <charconv>

#include "base/error.h"

namespace headgate {
namespace {

using enum PartScope;
using enum PartTransform;

constexpr PartName kParts[] = {
    {Part::kEmbedding, kModel, "embed_tokens.weight", "token_embd.weight"},
    {Part::kFinalNorm, kModel, "norm.weight", "output_norm.weight", kNorm},
    {Part::kLmHead, kModel, "lm_head.weight", "output.weight"},
    {Part::kMtpInput, kMtp, "fc.weight", "nextn.eh_proj.weight"},
    {Part::kMtpEmbeddingNorm, kMtp, "pre_fc_norm_embedding.weight", "nextn.enorm.weight", kNorm},
    {Part::kMtpHiddenNorm, kMtp, "pre_fc_norm_hidden.weight", "nextn.hnorm.weight", kNorm},
    {Part::kMtpFinalNorm, kMtp, "norm.weight", "nextn.shared_head_norm.weight", kNorm},
    {Part::kMixerNorm, kLayer, "input_layernorm.weight", "attn_norm.weight", kNorm},
    {Part::kMlpNorm, kLayer, "post_attention_layernorm.weight", "post_attention_norm.weight",
     kNorm},
    {Part::kQuery, kLayer, "self_attn.q_proj.weight", "attn_q.weight"},
    {Part::kKey, kLayer, "self_attn.k_proj.weight", "attn_k.weight"},
    {Part::kValue, kLayer, "self_attn.v_proj.weight", "attn_v.weight"},
    {Part::kAttentionOut, kLayer, "self_attn.o_proj.weight", "attn_output.weight"},
    {Part::kQueryNorm, kLayer, "self_attn.q_norm.weight", "attn_q_norm.weight", kNorm},
    {Part::kKeyNorm, kLayer, "self_attn.k_norm.weight", "attn_k_norm.weight", kNorm},
    {Part::kDeltaQkvz, kLayer, "linear_attn.in_proj_qkvz.weight", "ssm_in.weight"},
    {Part::kDeltaQkv, kLayer, "linear_attn.in_proj_qkv.weight", "attn_qkv.weight"},
    {Part::kDeltaZ, kLayer, "linear_attn.in_proj_z.weight", "attn_gate.weight"},
    {Part::kDeltaBa, kLayer, "linear_attn.in_proj_ba.weight", "ssm_ba.weight"},
    {Part::kDeltaB, kLayer, "linear_attn.in_proj_b.weight", "ssm_beta.weight"},
    {Part::kDeltaA, kLayer, "linear_attn.in_proj_a.weight", "ssm_alpha.weight"},
    {Part::kDeltaConv, kLayer, "linear_attn.conv1d.weight", "ssm_conv1d.weight", kDropMiddle},
    {Part::kDeltaDecay, kLayer, "linear_attn.A_log", "ssm_a", kMinusExp},
    {Part::kDeltaDtBias, kLayer, "linear_attn.dt_bias", "ssm_dt.bias"},
    {Part::kDeltaNorm, kLayer, "linear_attn.norm.weight", "ssm_norm.weight"},
    {Part::kDeltaOut, kLayer, "linear_attn.out_proj.weight", "ssm_out.weight"},
    {Part::kRouter, kLayer, "mlp.gate.weight", "ffn_gate_inp.weight"},
    {Part::kSharedScale, kLayer, "mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"},
    {Part::kSharedGate, kLayer, "mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight"},
    {Part::kSharedUp, kLayer, "mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight"},
    {Part::kSharedDown, kLayer, "mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight"},
    {Part::kMlpGate, kLayer, "mlp.gate_proj.weight", "ffn_gate.weight"},
    {Part::kMlpUp, kLayer, "mlp.up_proj.weight", "ffn_up.weight"},
    {Part::kMlpDown, kLayer, "mlp.down_proj.weight", "ffn_down.weight"},
    {Part::kExpertsGate, kLayer, "", "ffn_gate_exps.weight"},
    {Part::kExpertsUp, kLayer, "", "ffn_up_exps.weight"},
    {Part::kExpertsDown, kLayer, "mlp.experts.down_proj", "ffn_down_exps.weight"},
    {Part::kExpertsGateUp, kLayer, "mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight"},
    {Part::kExpertGate, kExpert, "mlp.experts.{}.gate_proj.weight", ""},
    {Part::kExpertUp, kExpert, "mlp.experts.{}.up_proj.weight", ""},
    {Part::kExpertDown, kExpert, "mlp.experts.{}.down_proj.weight", ""},
};

constexpr bool in_order() {
  size_t i = 0;
  for (const PartName& p : kParts) {
    if (static_cast<size_t>(p.part) != i++) return false;
  }
  return true;
}
static_assert(in_order());

constexpr std::string_view kMtpRoot = "mtp.";
constexpr std::string_view kExpertsPrefix = "mlp.experts.";

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "12." at the front of the text; leading zeros and signs are not numbers of ours.
std::optional<int64_t> take_index(std::string_view& text) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto digits = static_cast<size_t>(end - text.data());
  if (error != std::errc() || value < 0 || digits >= text.size() || text[digits] != '.')
    return std::nullopt;
  if (text[0] == '-' || (text[0] == '0' && digits > 1)) return std::nullopt;
  text.remove_prefix(digits + 1);
  return value;
}

std::optional<Part> find_part(PartScope scope, std::string_view PartName::*form,
                              std::string_view rest) {
  for (const PartName& p : kParts) {
    if (p.scope == scope && !(p.*form).empty() && p.*form == rest) return p.part;
  }
  return std::nullopt;
}

std::string_view gguf_suffix(const Naming& naming, const PartName& p) {
  return p.part == Part::kMlpNorm ? naming.gguf_mlp_norm : p.gguf;
}

// A name inside a layer: a part of the layer, or of one of its experts.
std::optional<PartAddress> parse_hf_layer_rest(std::string_view rest, int64_t layer) {
  if (const std::optional<Part> part = find_part(kLayer, &PartName::hf, rest))
    return PartAddress{*part, layer, 0};
  if (!take_prefix(rest, kExpertsPrefix)) return std::nullopt;
  const std::optional<int64_t> expert = take_index(rest);
  if (!expert) return std::nullopt;
  for (const PartName& p : kParts) {
    if (p.scope == kExpert && p.hf.substr(kExpertsPrefix.size() + 3) == rest)
      return PartAddress{p.part, layer, *expert};
  }
  return std::nullopt;
}

}  // namespace

std::span<const PartName> part_names() { return kParts; }

const PartName& part_name(Part part) {
  const auto index = static_cast<size_t>(part);
  HEADGATE_CHECK(index < std::size(kParts));
  return kParts[index];
}

std::string hf_tensor_name(const Naming& naming, Part part, int64_t layer, int64_t expert) {
  const PartName& p = part_name(part);
  if (p.hf.empty()) return {};
  if (p.scope == kMtp) return fmt::format("{}{}", kMtpRoot, p.hf);
  if (p.scope == kModel) {
    // The output head stands beside the decoder, not inside it.
    return part == Part::kLmHead ? std::string(p.hf) : fmt::format("{}{}", naming.hf_root, p.hf);
  }
  const bool mtp = layer >= naming.trunk_layers;
  const std::string prefix = fmt::format("{}layers.{}.", mtp ? kMtpRoot : naming.hf_root,
                                         mtp ? layer - naming.trunk_layers : layer);
  return prefix +
         (p.scope == kExpert ? fmt::format(fmt::runtime(p.hf), expert) : std::string(p.hf));
}

std::string gguf_tensor_name(const Naming& naming, Part part, int64_t layer) {
  const PartName& p = part_name(part);
  const std::string_view suffix = gguf_suffix(naming, p);
  if (suffix.empty()) return {};
  if (p.scope == kModel) return std::string(suffix);
  return fmt::format("blk.{}.{}", layer, suffix);
}

std::optional<PartAddress> parse_hf_tensor_name(const Naming& naming, std::string_view name) {
  if (name == part_name(Part::kLmHead).hf) return PartAddress{Part::kLmHead};
  const bool mtp = take_prefix(name, kMtpRoot);
  if (!mtp && !take_prefix(name, naming.hf_root)) return std::nullopt;
  if (take_prefix(name, "layers.")) {
    const std::optional<int64_t> index = take_index(name);
    if (!index || (!mtp && *index >= naming.trunk_layers)) return std::nullopt;
    return parse_hf_layer_rest(name, mtp ? naming.trunk_layers + *index : *index);
  }
  const std::optional<Part> part = find_part(mtp ? kMtp : kModel, &PartName::hf, name);
  if (!part || *part == Part::kLmHead) return std::nullopt;
  return PartAddress{*part, mtp ? naming.trunk_layers : 0, 0};
}

std::optional<PartAddress> parse_gguf_tensor_name(const Naming& naming, std::string_view name) {
  if (!take_prefix(name, "blk.")) {
    const std::optional<Part> part = find_part(kModel, &PartName::gguf, name);
    return part ? std::optional(PartAddress{*part}) : std::nullopt;
  }
  const std::optional<int64_t> layer = take_index(name);
  if (!layer) return std::nullopt;
  for (const PartName& p : kParts) {
    const bool here = p.scope == kLayer || (p.scope == kMtp && *layer >= naming.trunk_layers);
    const std::string_view suffix = gguf_suffix(naming, p);
    if (here && !suffix.empty() && suffix == name) return PartAddress{p.part, *layer, 0};
  }
  return std::nullopt;
}

}  // namespace headgate
