// Tests of rotary frequencies against tables of the reference implementation.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "formats/safetensors.h"
#include "model/config.h"

namespace headgate {
namespace {

std::vector<float> values(const TensorStore& store, const std::string& name) {
  const TensorEntry& entry = store.require(name);
  std::vector<float> out(static_cast<size_t>(entry.elements()));
  std::memcpy(out.data(), store.data(entry).data(), out.size() * sizeof(float));
  return out;
}

RopeConfig plain_rope() {
  RopeConfig rope;
  rope.theta = 1e7;
  return rope;
}

RopeConfig yarn(double factor) {
  RopeConfig rope = plain_rope();
  rope.yarn = true;
  rope.factor = factor;
  rope.original_context = 262144;
  return rope;
}

TEST(Rope, FrequenciesEqualTheReferencesBitForBit) {
  const TensorStore store =
      open_safetensors(HEADGATE_SOURCE_DIR "/tests/golden/kernels/rope_tables.safetensors");
  RopeConfig next, coder;
  next.theta = 1e7;
  coder.theta = 5e6;
  const std::pair<std::string, RopeConfig> cases[] = {
      {"next", next}, {"coder_next", coder}, {"next_yarn4", yarn(4)}};
  for (const auto& [name, rope] : cases) {
    const RopeTable table = make_rope_table(rope, 64);
    // The last bit of a frequency is an angle of 0.015 at position 262144.
    EXPECT_EQ(table.inverse_frequencies, values(store, name + ".inv_freq")) << name;
    EXPECT_NEAR(table.scale, values(store, name + ".attention_factor")[0], 1e-6) << name;
  }
}

TEST(Rope, YarnRampRunsFromDimension14To22) {
  const RopeTable plain = make_rope_table(plain_rope(), 64), scaled = make_rope_table(yarn(4), 64);
  for (size_t j = 0; j < 32; ++j) {
    const float ratio = plain.inverse_frequencies[j] / scaled.inverse_frequencies[j];
    if (j > 14 && j < 22) {
      EXPECT_TRUE(ratio > 1.0f && ratio < 4.0f) << j;
    } else {
      EXPECT_FLOAT_EQ(ratio, j <= 14 ? 1.0f : 4.0f) << j;
    }
  }
  EXPECT_NEAR(scaled.scale, 0.1 * std::log(4.0) + 1.0, 1e-6);
}

TEST(Rope, YarnTakesAGivenAttentionFactorAndOtherBetas) {
  RopeConfig rope = yarn(4);
  rope.attention_factor = 1.25;
  rope.beta_fast = 64;
  rope.beta_slow = 2;
  const RopeTable table = make_rope_table(rope, 64);
  EXPECT_EQ(table.scale, 1.25f);
  EXPECT_NE(table.inverse_frequencies, make_rope_table(yarn(4), 64).inverse_frequencies);
}

TEST(Rope, DegenerateYarnRampsStayFinite) {
  for (const double beta : {1e-9, 1.0, 1e9}) {
    RopeConfig rope = yarn(1e6);
    rope.beta_fast = rope.beta_slow = beta;
    rope.original_context = 1;
    for (const float f : make_rope_table(rope, 2).inverse_frequencies)
      EXPECT_TRUE(std::isfinite(f));
  }
}

}  // namespace
}  // namespace headgate
