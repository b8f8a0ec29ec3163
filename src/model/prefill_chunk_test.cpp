// Tests of the automatic step size.
#include "model/prefill_chunk.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

ModelConfig qwen3_next_80b() {
  ModelConfig c;
  c.hidden_size = 2048;
  c.layers = 4;
  c.mixers = {Mixer::kGatedDelta, Mixer::kGatedDelta, Mixer::kGatedDelta, Mixer::kAttention};
  c.attention = {16, 2, 256, true, 64};
  c.delta.shape = {16, 32, 128, 128, false};
  c.moe = {512, 10, 512, 512, true};
  return c;
}

TEST(PrefillChunk, GivesEveryExpertEnoughRows) {
  EXPECT_EQ(default_prefill_chunk(qwen3_next_80b()), 4096);
  ModelConfig few = qwen3_next_80b();
  few.moe.experts = 16;
  EXPECT_EQ(default_prefill_chunk(few), 512);
}

TEST(PrefillChunk, IsSmallWhereNothingRoutes) {
  ModelConfig dense = qwen3_next_80b();
  dense.moe = {};
  dense.dense_width = 25600;
  EXPECT_EQ(default_prefill_chunk(dense), 512);
}

TEST(PrefillChunk, ShrinksToTheBudgetButNotToNothing) {
  const ModelConfig c = qwen3_next_80b();
  const int64_t chunk = default_prefill_chunk(c, 300 << 20);
  EXPECT_LT(chunk, 4096);
  EXPECT_LE(step_scratch_bytes(c, chunk), 300 << 20);
  EXPECT_EQ(default_prefill_chunk(c, 1), 512);
}

TEST(PrefillChunk, ScratchGrowsWithTheTokensAndFitsTheDefaultBudget) {
  const ModelConfig c = qwen3_next_80b();
  EXPECT_LT(step_scratch_bytes(c, 512), step_scratch_bytes(c, 1024));
  EXPECT_LE(step_scratch_bytes(c, default_prefill_chunk(c)), kScratchBudget);
}

}  // namespace
}  // namespace headgate
