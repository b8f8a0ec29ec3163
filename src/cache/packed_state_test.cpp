// Tests of packed states: how far they are from what they were, and what the cache makes of them.
#include "cache/packed_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "cache/prefix_cache.h"

namespace headgate {
namespace {

StateShape shape_of(int64_t delta) {
  StateShape shape;
  shape.attention_layers = 1;
  shape.kv = {DType::kF32, 1, 2, 4};
  shape.recurrent_layers = 3;
  shape.conv_floats = 5;
  shape.delta_floats = delta;
  shape.deferred_rows = 2;
  shape.deferred_floats = 3;
  return shape;
}

// Numbers of many sizes, some groups all zeros.
std::vector<float> any_slot(const StateShape& shape, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(shape.recurrent_layers * shape.slot_floats()));
  for (size_t i = 0; i < out.size(); ++i) {
    const uint64_t bits = random_bits(seed, i, 0);
    const float size = std::exp2f(static_cast<float>(bits % 40) - 20.0f);
    if ((i / 64) % 5 != 4)
      out[i] = size * (static_cast<float>((bits >> 8) % 20001) / 10000.0f - 1.0f);
  }
  return out;
}

TEST(PackedState, EveryNumberIsWithinHalfAStepOfItsGroup) {
  for (const int64_t delta : {1, 63, 64, 100, 256}) {
    const StateShape shape = shape_of(delta);
    const std::vector<float> slot = any_slot(shape, static_cast<uint64_t>(delta));
    for (const StateFormat format : {StateFormat::kBf16, StateFormat::kInt8}) {
      std::vector<std::byte> packed(static_cast<size_t>(packed_state_bytes(shape, format)));
      pack_state(shape, format, slot.data(), packed.data());
      std::vector<float> back(slot.size(), 99.0f);
      unpack_state(shape, format, packed.data(), back.data());
      for (int64_t layer = 0; layer < shape.recurrent_layers; ++layer) {
        const float* a = slot.data() + layer * shape.slot_floats();
        const float* b = back.data() + layer * shape.slot_floats();
        ASSERT_EQ(std::memcmp(a, b, static_cast<size_t>(shape.conv_floats) * sizeof(float)), 0);
        a += shape.conv_floats;
        b += shape.conv_floats;
        for (int64_t i = 0; i < delta; ++i) {
          float largest = 0;
          for (int64_t j = i / 64 * 64; j < std::min(delta, i / 64 * 64 + 64); ++j)
            largest = std::max(largest, std::fabs(a[j]));
          const float bound =
              format == StateFormat::kBf16 ? std::fabs(a[i]) / 256.0f : largest / 253.0f;
          ASSERT_LE(std::fabs(a[i] - b[i]), bound) << delta << " " << i;
        }
      }
    }
    const int64_t whole = shape.recurrent_layers * delta * 4;
    EXPECT_LE(packed_state_bytes(shape, StateFormat::kBf16), whole / 2 + 60);
    EXPECT_LE(packed_state_bytes(shape, StateFormat::kInt8), whole * 17 / 64 + 72);
  }
  EXPECT_EQ(packed_state_bytes(shape_of(64), StateFormat::kF32), 0);
}

TEST(PackedState, NothingTinyHugeOrEmptyBecomesAnythingElse) {
  const StateShape shape = shape_of(64);
  std::vector<float> slot(static_cast<size_t>(shape.recurrent_layers * shape.slot_floats()));
  for (const float size : {0.0f, 1e-45f, 1e-38f, 1e-20f, 1e30f, 3e38f}) {
    std::fill(slot.begin(), slot.end(), size);
    std::vector<std::byte> packed(
        static_cast<size_t>(packed_state_bytes(shape, StateFormat::kInt8)));
    pack_state(shape, StateFormat::kInt8, slot.data(), packed.data());
    std::vector<float> back(slot.size());
    unpack_state(shape, StateFormat::kInt8, packed.data(), back.data());
    const float got = back[static_cast<size_t>(shape.conv_floats)];
    EXPECT_NEAR(got, size < 1e-30f ? 0.0f : size, size * 1e-5f);
  }
}

// Without pages: states are all that takes memory.
StateShape pageless() {
  StateShape shape = shape_of(256);
  shape.attention_layers = 0;
  return shape;
}

struct Bench {
  Bench(StateFormat cold, int64_t states)
      : pool(pageless(), states * pageless().recurrent_bytes(), cold), cache(pool.shape()) {}

  bool insert(int32_t text) {
    std::optional<SequenceState> state = pool.create();
    while (!state && cache.evict_one()) state = pool.create();
    if (!state || !state->reserve(4)) return false;
    for (int64_t layer = 0; layer < pool.shape().recurrent_layers; ++layer)
      std::fill_n(state->delta(layer), 256, static_cast<float>(text));
    state->advance(4);
    cache.insert("", std::vector<int32_t>{text, 1, 2, 3}, std::move(*state).freeze());
    return true;
  }

  StatePool pool;
  PrefixCache cache;
};

TEST(PackedState, MoreStatesFitWhereColdOnesArePacked) {
  int64_t kept[3] = {};
  for (const StateFormat cold : {StateFormat::kF32, StateFormat::kBf16, StateFormat::kInt8}) {
    Bench bench(cold, 8);
    for (int32_t text = 1; text <= 60; ++text) ASSERT_TRUE(bench.insert(text));
    kept[static_cast<int>(cold)] = bench.cache.entries();
    EXPECT_LE(bench.pool.used_bytes(), bench.pool.budget_bytes());
    EXPECT_EQ(bench.cache.packed() > 0, cold != StateFormat::kF32);
    // What is there comes back, packed or not.
    for (int32_t text = 1; text <= 60; ++text) {
      const std::vector<int32_t> tokens{text, 1, 2, 3, 4};
      const PrefixCache::Match match = bench.cache.find("", tokens, 4);
      if (!match.snapshot) continue;
      auto state = bench.pool.create();
      if (!state) break;
      ASSERT_TRUE(state->restore(*match.snapshot));
      EXPECT_EQ(state->position(), 4);
      EXPECT_NEAR(state->delta(2)[255], static_cast<float>(text), 0.3f);
    }
    while (bench.cache.evict_one()) continue;
    EXPECT_EQ(bench.cache.packed(), 0);
    EXPECT_EQ(bench.cache.bytes(), 0);
    EXPECT_EQ(bench.pool.used_bytes(), 0);
  }
  EXPECT_GT(kept[1], kept[0]);
  EXPECT_GE(kept[2], kept[0] * 3 / 2);
}

TEST(PackedState, UpdatesSetAsideAreNotPacked) {
  StatePool pool(shape_of(64), 1 << 20, StateFormat::kInt8);
  auto state = pool.create();
  ASSERT_TRUE(state->reserve(4));
  state->advance(2);
  EXPECT_TRUE(state->snapshot()->packed().has_value());
  state->advance(2, true);
  EXPECT_FALSE(state->snapshot()->packed().has_value());
}

}  // namespace
}  // namespace headgate
