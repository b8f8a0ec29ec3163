// Tests of the prefix cache against a list of what was put into it.
#include "cache/prefix_cache.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace headgate {
namespace {

using Ids = std::vector<int32_t>;

StateShape small_shape(int64_t recurrent_layers) {
  StateShape shape;
  shape.attention_layers = 1;
  shape.kv = {DType::kF32, 1, 2, 4};
  shape.recurrent_layers = recurrent_layers;
  shape.conv_floats = 2;
  shape.delta_floats = 2;
  return shape;
}

// A pool, a cache over it, and snapshots of states that have "consumed" some tokens.
struct Bench {
  explicit Bench(int64_t recurrent_layers)
      : pool(small_shape(recurrent_layers), 1 << 24), cache(pool.shape()) {}

  Snapshot state_after(const Ids& tokens) {
    SequenceState state = std::move(*pool.create());
    EXPECT_TRUE(state.reserve(static_cast<int64_t>(tokens.size())));
    state.advance(static_cast<int64_t>(tokens.size()));
    return std::move(state).freeze();
  }
  void insert(const std::string& salt, const Ids& tokens) {
    cache.insert(salt, tokens, state_after(tokens));
  }

  StatePool pool;
  PrefixCache cache;
};

TEST(PrefixCache, ServesTheDeepestSnapshotOnTheWay) {
  Bench bench(1);
  bench.insert("", {1, 2, 3, 4});
  bench.insert("", {1, 2});
  bench.insert("", {1, 2, 3, 9, 9});
  const Ids prompt{1, 2, 3, 4, 5, 6};
  PrefixCache::Match match = bench.cache.find("", prompt, 5);
  EXPECT_EQ(match.position, 4);
  EXPECT_EQ(match.snapshot->position(), 4);
  EXPECT_EQ(match.common, 4);
  match = bench.cache.find("", prompt, 3);  // one token at least must be computed
  EXPECT_EQ(match.position, 2);
  match = bench.cache.find("", Ids{1, 2, 3, 9, 7}, 4);
  EXPECT_EQ(match.position, 2);
  EXPECT_EQ(match.common, 4);  // into the middle of an edge
  match = bench.cache.find("", Ids{7, 7}, 1);
  EXPECT_FALSE(match.snapshot.has_value());
  EXPECT_EQ(match.common, 0);
}

TEST(PrefixCache, AttentionOnlyStatesServeAnyPartOfThem) {
  Bench bench(0);
  bench.insert("", {1, 2, 3, 4, 5, 6, 7, 8});
  const PrefixCache::Match match = bench.cache.find("", Ids{1, 2, 3, 9}, 3);
  ASSERT_TRUE(match.snapshot.has_value());
  EXPECT_EQ(match.position, 3);
  EXPECT_EQ(match.snapshot->position(), 8);
}

TEST(PrefixCache, SaltsSeeNothingOfEachOther) {
  Bench bench(1);
  bench.insert("a", {1, 2, 3});
  const PrefixCache::Match other = bench.cache.find("b", Ids{1, 2, 3, 4}, 3);
  EXPECT_FALSE(other.snapshot.has_value());
  EXPECT_EQ(other.common, 0);
  EXPECT_EQ(bench.cache.find("a", Ids{1, 2, 3, 4}, 3).position, 3);
}

TEST(PrefixCache, EvictsWhatSavesLeastAndKeepsWhatIsUsed) {
  Bench bench(1);
  Ids tokens;
  for (int32_t i = 0; i < 100; ++i) tokens.push_back(i);
  bench.insert("", tokens);
  bench.insert("", Ids(tokens.begin(), tokens.begin() + 98));  // saves much, and the 100 only 2
  for (int i = 0; i < 5; ++i)
    (void)bench.cache.find("", Ids(tokens.begin(), tokens.begin() + 99), 98);
  ASSERT_TRUE(bench.cache.evict_one());
  EXPECT_EQ(bench.cache.find("", tokens, 100).position, 98);
  ASSERT_TRUE(bench.cache.evict_one());
  EXPECT_FALSE(bench.cache.evict_one());
  EXPECT_EQ(bench.pool.used_bytes(), 0);
}

// What find() must say, from a plain list.
int64_t serves(const std::vector<std::pair<std::string, Ids>>& kept, const std::string& salt,
               const Ids& tokens, int64_t most) {
  int64_t best = 0;
  for (const auto& [other, prefix] : kept) {
    const auto length = static_cast<int64_t>(prefix.size());
    if (other == salt && length <= most && length <= static_cast<int64_t>(tokens.size()) &&
        std::equal(prefix.begin(), prefix.end(), tokens.begin()))
      best = std::max(best, length);
  }
  return best;
}

TEST(PrefixCache, TheIndexTakesFourBytesPerTokenOfEachBranch) {
  Bench bench(1);
  Ids trunk(2000), branch(2000);
  for (size_t i = 0; i < trunk.size(); ++i) trunk[i] = branch[i] = static_cast<int32_t>(i);
  branch.resize(1800);
  branch.resize(2000, -1);
  bench.insert("", trunk);
  const int64_t one = bench.cache.index_bytes();
  EXPECT_GE(one, 8000);
  EXPECT_LT(one, 12000);  // a page of four tokens has a number as well
  bench.insert("", branch);
  const int64_t more = bench.cache.index_bytes() - one;
  EXPECT_GE(more, 800);  // what it does not share
  EXPECT_LT(more, 5000);
}

TEST(PrefixCache, FindsWhatAListFindsAndLeaksNothing) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Bench bench(2);
    std::vector<std::pair<std::string, Ids>> kept;
    uint64_t index = 0;
    const auto draw = [&](uint64_t below) { return random_bits(seed, 0, index++) % below; };
    const auto any_tokens = [&] {
      Ids tokens;
      for (uint64_t left = 1 + draw(12); left > 0; --left)
        tokens.push_back(static_cast<int32_t>(draw(2)));
      return tokens;
    };
    for (int step = 0; step < 400; ++step) {
      const std::string salt = draw(2) == 0 ? "" : "tenant";
      const Ids tokens = any_tokens();
      if (draw(3) == 0) {
        bench.insert(salt, tokens);
        const std::pair<std::string, Ids> entry{salt, tokens};
        if (std::find(kept.begin(), kept.end(), entry) == kept.end()) kept.push_back(entry);
      }
      const auto most = static_cast<int64_t>(draw(13));
      const PrefixCache::Match match = bench.cache.find(salt, tokens, most);
      ASSERT_EQ(match.position, serves(kept, salt, tokens, most));
      ASSERT_EQ(bench.cache.entries(), static_cast<int64_t>(kept.size()));
      ASSERT_EQ(bench.pool.used_bytes() >= bench.cache.bytes(), true);
      if (draw(40) != 0) continue;
      for (uint64_t i = draw(8); i > 0 && bench.cache.evict_one(); --i) continue;
      std::erase_if(kept, [&](const auto& entry) {
        return bench.cache.nearest(entry.first, entry.second) !=
               static_cast<int64_t>(entry.second.size());
      });
      ASSERT_EQ(bench.cache.entries(), static_cast<int64_t>(kept.size()));
    }
    EXPECT_GT(bench.cache.index_bytes(), 0);
    if (seed % 2 == 0) bench.cache.clear();
    while (bench.cache.evict_one()) continue;
    EXPECT_EQ(bench.pool.used_bytes(), 0);
    EXPECT_EQ(bench.cache.index_bytes(), 0);
  }
}

}  // namespace
}  // namespace headgate
