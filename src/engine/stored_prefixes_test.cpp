// Tests of the prefixes on disk: what the index takes is part of the budget.
#include "engine/stored_prefixes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "cache/sequence_state.h"
#include "model/config.h"

namespace headgate {
namespace {

namespace fs = std::filesystem;

// No pages: the states are small, and their tokens are nearly all that is kept.
StateShape recurrent_shape() {
  StateShape shape;
  shape.recurrent_layers = 1;
  shape.conv_floats = 4;
  shape.delta_floats = 4;
  return shape;
}

TEST(StoredPrefixes, TheIndexIsPartOfTheBudgetAndBounded) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("headgate-stored-{}", ::getpid());
  constexpr int64_t kBudget = 4 << 20, kMost = 1 << 20;
  constexpr int32_t kTokens = 20000, kTexts = 24;  // 80 KB each
  StatePool pool(recurrent_shape(), kBudget);
  PrefixCache prefixes(pool.shape());
  EngineOptions options;
  options.cache_folder = folder.string();
  {
    StoredPrefixes stored(options, ModelConfig{}, pool, prefixes);
    int64_t most = 0;
    for (int32_t text = 0; text < kTexts; ++text) {
      SequenceState state = std::move(*pool.create());
      ASSERT_TRUE(state.reserve(kTokens));
      state.advance(kTokens);
      std::vector<int32_t> tokens(kTokens, text);
      prefixes.insert("", tokens, std::move(state).freeze());
      stored.flush(std::chrono::steady_clock::now() + std::chrono::seconds(60));
      ASSERT_TRUE(prefixes.evict_one());  // it is on disk alone from here on
      stored.tend();
      most = std::max(most, prefixes.index_bytes());
      EXPECT_LE(prefixes.index_bytes() + stored.stats().memory_bytes, kMost);
    }
    EXPECT_EQ(stored.stats().stored, kTexts);
    EXPECT_GT(stored.stats().removed, kTexts / 3);
    EXPECT_GT(most, kMost * 3 / 4);
    // Whoever needs memory gets that of the index in the end.
    for (int i = 0; i < 100 && stored.free_memory(); ++i) continue;
    EXPECT_EQ(prefixes.index_bytes(), 0);
    EXPECT_EQ(pool.other_bytes(), 0);
  }
  fs::remove_all(folder);
}

TEST(StoredPrefixes, WhatTheIndexTakesIsNotThereForStates) {
  StatePool pool(recurrent_shape(), 1000);
  pool.set_other_bytes(1000 - pool.shape().recurrent_bytes());
  const auto one = pool.create();
  EXPECT_TRUE(one.has_value());
  EXPECT_FALSE(pool.create().has_value());
  EXPECT_FALSE(pool.is_over());
  pool.set_other_bytes(1000);
  EXPECT_TRUE(pool.is_over());
  pool.set_other_bytes(0);
  EXPECT_TRUE(pool.create().has_value());
}

}  // namespace
}  // namespace headgate
