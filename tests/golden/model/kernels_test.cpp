// The kernel fixtures: gated delta rule and rotary tables.
#include <cmath>
#include <cstring>

#include "formats/safetensors.h"
#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

const std::string kFolder = HEADGATE_SOURCE_DIR "/tests/golden/kernels/";

template <typename T = float>
std::vector<T> values(const TensorStore& store, const std::string& name) {
  const TensorEntry& entry = store.require(name);
  std::vector<T> out(static_cast<size_t>(entry.elements()));
  std::memcpy(out.data(), store.data(entry).data(), out.size() * sizeof(T));
  return out;
}

class GatedDeltaFixture : public testing::TestWithParam<int64_t> {};

// Raw q and k, so that the l2 norm and its epsilon are part of what is compared: a zero key, tiny
// vectors, repeated keys, runs of g = -40, 130 tokens from a state that is not zero.
TEST_P(GatedDeltaFixture, OutputAndStateEqualFp64InPiecesOfAnySize) {
  const TensorStore store = open_safetensors(kFolder + "gdn_kernel.safetensors");
  const std::vector<int64_t> k_shape = store.require("k").shape, v_shape = store.require("v").shape;
  const DeltaShape shape{k_shape[1], v_shape[1], k_shape[2], v_shape[2], false};
  const int64_t tokens = k_shape[0];
  std::vector<float> q = values(store, "q"), k = values(store, "k"), v = values(store, "v"),
                     g = values(store, "g"), beta = values(store, "beta"),
                     state = values(store, "S0"), o(v.size());
  BackendOptions options;
  options.threads = 2;
  const std::unique_ptr<Backend> b = open_backend(options);
  const int64_t key_rows = tokens * shape.key_heads;
  const MutView q_heads{q.data(), key_rows, shape.key_dim},
      k_heads{k.data(), key_rows, shape.key_dim};
  b->l2_norm(q_heads, q_heads, 1.0f / std::sqrt(static_cast<float>(shape.key_dim)));
  b->l2_norm(k_heads, k_heads, 1.0f);
  const auto rows = [tokens](std::vector<float>& x) {
    return MutView{x.data(), tokens, static_cast<int64_t>(x.size()) / tokens};
  };
  for (int64_t from = 0; from < tokens; from += GetParam()) {
    const int64_t count = std::min(GetParam(), tokens - from);
    const auto part = [&](std::vector<float>& x) { return rows(x).row_range(from, count); };
    const RecurrentSpan span{{0, count, from}, nullptr, state.data()};
    b->gated_delta_rule(part(o), part(q), part(k), part(v), part(beta), part(g), shape, {&span, 1});
  }
  EXPECT_TRUE(all_near(o, values(store, "o"), 2e-6));       // |o| up to 0.13
  EXPECT_TRUE(all_near(state, values(store, "S1"), 1e-5));  // |S| up to 1.4
}
INSTANTIATE_TEST_SUITE_P(Pieces, GatedDeltaFixture, testing::Values(1000, 64, 65, 7, 1));

RopeConfig rope_config(const std::string& name) {
  RopeConfig rope;
  rope.theta = name == "coder_next" ? 5e6 : 1e7;
  if (name == "next_yarn4") {
    rope.yarn = true;
    rope.factor = 4;
    rope.original_context = 262144;
  }
  return rope;
}

TEST(RopeFixture, FrequenciesAndRotationsEqualTheReferences) {
  const TensorStore store = open_safetensors(kFolder + "rope_tables.safetensors");
  const std::vector<int32_t> positions = values<int32_t>(store, "positions");
  BackendOptions options;
  options.threads = 1;
  const std::unique_ptr<Backend> b = open_backend(options);
  for (const std::string name : {"next", "coder_next", "next_yarn4"}) {
    const RopeTable table = make_rope_table(rope_config(name), 64);
    const std::vector<float> want = values(store, name + ".inv_freq");
    ASSERT_EQ(table.inverse_frequencies.size(), want.size());
    // The last bit of a frequency is an angle of 0.015 at position 262144: bits must be equal.
    EXPECT_EQ(table.inverse_frequencies, want) << name;
    EXPECT_NEAR(table.scale, values(store, name + ".attention_factor")[0], 1e-6) << name;

    // Rotating the unit vectors of the first half reads cos and sin back.
    const std::vector<float> cosines = values(store, name + ".cos"),
                             sines = values(store, name + ".sin");
    for (size_t p = 0; p < positions.size(); ++p) {
      std::vector<float> x(64, 0.0f);
      std::fill_n(x.begin(), 32, 1.0f);
      const RowSpan span{0, 1, positions[p]};
      b->rope({x.data(), 1, 64}, 1, 64, table, {&span, 1});
      const std::span<const float> got(x);
      EXPECT_TRUE(all_near(got.first(32), std::span(cosines).subspan(p * 32, 32), 2e-6))
          << name << " " << positions[p];
      EXPECT_TRUE(all_near(got.last(32), std::span(sines).subspan(p * 32, 32), 2e-6))
          << name << " " << positions[p];
    }
  }
}

}  // namespace
}  // namespace headgate
