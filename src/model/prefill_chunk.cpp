// Sizes of a step: counted as the layers and the CPU backend take their memory.
#include "model/prefill_chunk.h"

#include <algorithm>

#include "model/step.h"

namespace headgate {
namespace {

constexpr int64_t kLeastChunk = 512, kMostChunk = 8192;
constexpr int64_t kExpertRows = 80;  // where products of packed weights are near their best
constexpr int64_t kFloat = sizeof(float);

// int8 activations with their scales and sums.
int64_t code_bytes(int64_t values) { return values * 5 / 4; }

// Floats per token between the projections of a mixer, or of a dense MLP.
int64_t part_floats(const ModelConfig& c) {
  const AttentionConfig& a = c.attention;
  const int64_t attention =
      a.heads * a.head_dim * (a.output_gate ? 3 : 2) + 2 * a.kv_heads * a.head_dim;
  const int64_t delta =
      c.recurrent_layers() > 0
          ? c.delta.conv_channels() + 2 * c.delta.value_width() + 2 * c.delta.shape.value_heads
          : 0;
  return std::max({attention, delta, 2 * c.dense_width});
}

}  // namespace

int64_t step_scratch_bytes(const ModelConfig& c, int64_t tokens) {
  const int64_t parts = std::min(tokens, kPartRows);
  int64_t bytes = tokens * (3 * c.hidden_size * kFloat + code_bytes(c.hidden_size));
  bytes += parts * (part_floats(c) * kFloat + code_bytes(part_floats(c)));
  const MoeConfig& moe = c.moe;
  if (moe.experts > 0) {
    const int64_t routing = moe.experts + 1 + 2 * moe.experts_per_token;
    bytes += tokens * (routing + 2 * moe.shared_width + c.hidden_size) * kFloat;
    const int64_t pairs = tokens * moe.experts_per_token;
    bytes += pairs * ((moe.expert_width + c.hidden_size) * kFloat + code_bytes(moe.expert_width));
  }
  return bytes;
}

int64_t default_prefill_chunk(const ModelConfig& c, int64_t scratch_budget) {
  int64_t chunk = kLeastChunk;
  if (c.moe.experts > 0) {
    const int64_t wanted =
        kExpertRows * c.moe.experts / std::max<int64_t>(1, c.moe.experts_per_token);
    while (chunk < wanted && chunk < kMostChunk) chunk *= 2;
  }
  while (chunk > kLeastChunk && step_scratch_bytes(c, chunk) > scratch_budget) chunk /= 2;
  return chunk;
}

}  // namespace headgate
