// One text with all of it, and its digest.
#include "engine/state_profile.h"

#include <fmt/core.h>

namespace headgate {

Digest state_profile(const std::string& model_identity, const ModelConfig& config,
                     const StateShape& shape) {
  const RopeConfig& rope = config.rope;
  const std::string text = fmt::format(
      "state 1\n{}\nkv {} heads {} dim {} page {} layers {}\nrecurrent {} conv {} delta {} update "
      "{}\nrope {} yarn {} factor {} original {} beta {} {} attention {} truncate {}\n",
      model_identity, kv_type_name(shape.kv.dtype), shape.kv.kv_heads, shape.kv.head_dim,
      shape.kv.page_tokens, shape.attention_layers, shape.recurrent_layers, shape.conv_floats,
      shape.delta_floats, shape.deferred_floats, rope.theta, rope.yarn, rope.factor,
      rope.original_context, rope.beta_fast, rope.beta_slow, rope.attention_factor.value_or(0),
      rope.truncate);
  return Sha256().add(text).digest();
}

}  // namespace headgate
