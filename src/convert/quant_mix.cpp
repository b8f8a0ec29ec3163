// The tables of types by tensor.
#include "convert/quant_mix.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace headgate {
namespace {

constexpr std::string_view kProtected = "hg_";

constexpr QuantMix kMixes[] = {
    {"hg_q4", DType::kQ4_K, 15,
     "routed experts Q4_K; delta nets, attention, shared expert and draft head 8 bits"},
    {"hg_q3", DType::kQ3_K, 12, "as hg_q4 with routed experts in Q3_K and Q4_K"},
    {"q4_k_m", DType::kQ4_K, 15, "Q4_K, sensitive tensors Q6_K"},
    {"q4_k_s", DType::kQ4_K, 14, "Q4_K, a few tensors Q5_K"},
    {"q5_k_m", DType::kQ5_K, 17, "Q5_K, sensitive tensors Q6_K"},
    {"q5_k_s", DType::kQ5_K, 16, "Q5_K"},
    {"q6_k", DType::kQ6_K, 18, "Q6_K"},
    {"q8_0", DType::kQ8_0, 7, "Q8_0"},
    {"q3_k_l", DType::kQ3_K, 13, "Q3_K, sensitive tensors Q5_K"},
    {"q3_k_m", DType::kQ3_K, 12, "Q3_K, sensitive tensors Q4_K and Q5_K"},
    {"q3_k_s", DType::kQ3_K, 11, "Q3_K"},
    {"q2_k", DType::kQ2_K, 10, "Q2_K, sensitive tensors Q3_K and Q4_K"},
    {"iq4_xs", DType::kIQ4_XS, 30, "IQ4_XS, sensitive tensors Q5_K"},
    {"iq4_nl", DType::kIQ4_NL, 25, "IQ4_NL, sensitive tensors Q5_K"},
    {"mxfp4_moe", DType::kMXFP4, 38, "routed experts MXFP4, all else Q8_0"},
    {"q4_0", DType::kQ4_0, 2, "Q4_0"},
    {"q4_1", DType::kQ4_1, 3, "Q4_1"},
    {"q5_0", DType::kQ5_0, 8, "Q5_0"},
    {"q5_1", DType::kQ5_1, 9, "Q5_1"},
    {"bf16", DType::kBF16, 32, "BF16"},
    {"f16", DType::kF16, 1, "F16"},
    {"f32", DType::kF32, 0, "F32"},
};

// The roles the tables distinguish.
enum class Role : uint8_t {
  kEmbedding,
  kHead,
  kValueLike,
  kDown,
  kAttentionOut,
  kExpertsIn,
  kOther
};

Role role_of(Part part, bool tied) {
  switch (part) {
    case Part::kEmbedding:
      return tied ? Role::kHead : Role::kEmbedding;
    case Part::kLmHead:
      return Role::kHead;
    case Part::kValue:
    case Part::kDeltaQkv:
      return Role::kValueLike;
    case Part::kMlpDown:
    case Part::kSharedDown:
    case Part::kExpertsDown:
      return Role::kDown;
    case Part::kAttentionOut:
      return Role::kAttentionOut;
    case Part::kExpertsGate:
    case Part::kExpertsUp:
    case Part::kExpertsGateUp:
      return Role::kExpertsIn;
    default:
      return Role::kOther;
  }
}

bool is_routed(Part part) {
  return part == Part::kExpertsGate || part == Part::kExpertsUp || part == Part::kExpertsGateUp ||
         part == Part::kExpertsDown;
}

// The layers that get more bits: the first and last eighth, and every third between.
bool more_bits(int64_t layer, int64_t layers) {
  const int64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

DType value_type(std::string_view mix, DType base, const MixContext& c, int64_t layer) {
  const bool many_queries = c.heads_per_kv_head >= 4;
  if (mix == "q4_k_m" || mix == "q5_k_m") return more_bits(layer, c.blocks) ? DType::kQ6_K : base;
  if (mix == "q4_k_s") return layer < 4 ? DType::kQ5_K : base;
  if (mix == "q3_k_l") return DType::kQ5_K;
  if (mix == "q3_k_m") return layer < 2 ? DType::kQ5_K : DType::kQ4_K;
  if (mix == "q2_k") return many_queries ? DType::kQ4_K : DType::kQ3_K;
  if (mix == "iq4_xs" || mix == "iq4_nl") return many_queries ? DType::kQ5_K : base;
  return base;
}

DType down_type(std::string_view mix, DType base, const MixContext& c, int64_t layer) {
  if (mix == "q4_k_m" || mix == "q5_k_m") return more_bits(layer, c.blocks) ? DType::kQ6_K : base;
  if (mix == "q4_k_s") return layer < c.blocks / 8 ? DType::kQ5_K : base;
  if (mix == "q3_k_l") return DType::kQ5_K;
  if (mix == "q3_k_m") return layer < c.blocks / 16 ? DType::kQ5_K : DType::kQ4_K;
  if (mix == "q2_k") return DType::kQ3_K;
  if (mix == "iq4_xs" || mix == "iq4_nl")
    return layer < c.blocks / 8 && !c.importance ? DType::kQ5_K : base;
  return base;
}

DType attention_out_type(std::string_view mix, DType base) {
  if (mix == "q3_k_l") return DType::kQ5_K;
  if (mix == "q3_k_m") return DType::kQ4_K;
  if (mix == "q2_k") return DType::kQ3_K;
  return base;
}

// Our own mixes. A delta net carries its errors from token to token, and all tokens pass attention
// and the shared expert: together below 4 % of a sparse model's bytes, they keep 8 bits. The two
// gates of a delta net are tiny and steer its memory: BF16. A draft is only worth its time when it
// agrees with the trunk.
DType protected_type(const QuantMix& mix, const MixContext& c, Part part, int64_t layer) {
  const bool dense = part == Part::kMlpGate || part == Part::kMlpUp || part == Part::kMlpDown;
  if (layer >= c.trunk_layers && c.trunk_layers > 0) return DType::kQ8_0;
  if (part == Part::kDeltaBa || part == Part::kDeltaB || part == Part::kDeltaA) return DType::kBF16;
  if (part == Part::kEmbedding || part == Part::kLmHead)
    return c.tied_embeddings ? DType::kQ8_0 : DType::kQ6_K;
  if (!is_routed(part) && !dense) return DType::kQ8_0;
  const bool down = part == Part::kExpertsDown || part == Part::kMlpDown;
  if (mix.base == DType::kQ3_K) return down ? DType::kQ4_K : DType::kQ3_K;
  return down && more_bits(layer, c.blocks) ? DType::kQ5_K : mix.base;
}

DType listed_type(const QuantMix& mix, const MixContext& c, Part part, int64_t layer) {
  if (mix.name.starts_with(kProtected)) return protected_type(mix, c, part, layer);
  if (mix.base == DType::kMXFP4) return is_routed(part) ? DType::kMXFP4 : DType::kQ8_0;
  switch (role_of(part, c.tied_embeddings)) {
    case Role::kHead:
      return is_quantized(mix.base) && mix.base != DType::kQ8_0 ? DType::kQ6_K : mix.base;
    case Role::kValueLike:
      return value_type(mix.name, mix.base, c, layer);
    case Role::kDown:
      return down_type(mix.name, mix.base, c, layer);
    case Role::kAttentionOut:
      return attention_out_type(mix.name, mix.base);
    default:
      return mix.base;
  }
}

// The type with blocks of 32 that comes closest from above.
DType finer_small_block(DType type) {
  switch (type) {
    case DType::kQ2_K:
    case DType::kQ3_K:
      return DType::kQ4_0;
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kIQ4_XS:
      return DType::kIQ4_NL;
    default:
      return DType::kQ8_0;
  }
}

}  // namespace

std::span<const QuantMix> quant_mixes() { return kMixes; }

const QuantMix& find_quant_mix(std::string_view name) {
  std::string lower(name), names;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const QuantMix& mix : kMixes) {
    if (mix.name == lower) return mix;
    names += (names.empty() ? "" : " ") + std::string(mix.name);
  }
  fail(ErrorCode::kInvalidArgument, "mix: '{}', expected one of {}", name, names);
}

bool is_kept_exact(Part part) {
  switch (part) {
    case Part::kRouter:
    case Part::kSharedScale:
    case Part::kDeltaConv:
    case Part::kDeltaDecay:
    case Part::kDeltaDtBias:
    case Part::kDeltaNorm:
      return true;
    default:
      return part_name(part).transform == PartTransform::kNorm;
  }
}

DType choose_type(const QuantMix& mix, const MixContext& context, Part part, int64_t layer,
                  int64_t cols) {
  if (is_kept_exact(part)) return DType::kF32;
  DType type = listed_type(mix, context, part, layer);
  if (cols % dtype_info(type).block_elements != 0) type = finer_small_block(type);
  return cols % dtype_info(type).block_elements == 0 ? type : DType::kF16;
}

}  // namespace headgate
