// Run by mpirun on two ranks: together they are one trainer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "comm/mpi_world.h"
#include "train/tiny_run.h"
#include "train/trainer.h"

// OpenMPI keeps memory at its end that a leak checker counts; what this program leaks shows in its
// other tests. (The name is the sanitizer's.)
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace headgate {
namespace {

constexpr int64_t kLength = 40;

// Rows [first, first + rows) of a step; documents of odd lengths, so that the shares differ.
TrainBatch rows_of(uint64_t step, int64_t first, int64_t rows) {
  TrainBatch batch;
  batch.rows = rows;
  batch.length = kLength;
  for (int64_t i = first * kLength; i < (first + rows) * kLength; ++i) {
    batch.tokens.push_back(
        static_cast<int32_t>(random_bits(step, 1, static_cast<uint64_t>(i)) % 48));
    const bool padding = i / kLength == 3 && i % kLength > 25;
    batch.documents.push_back(padding ? -1 : static_cast<int32_t>(i % kLength / 13));
    batch.weights.push_back(1.0f);
  }
  return batch;
}

// A world of one inside a process of several.
class Alone : public Communicator {
 public:
  int64_t rank() const override { return 0; }
  int64_t ranks() const override { return 1; }
  void sum(std::span<double>) override {}
  void sum(std::span<int64_t>) override {}
  void sum_shards(std::span<const float>, std::span<float>) override {}
  void gather_shards(std::span<const float>, std::span<float>) override {}
};

TEST(Ranks, SumsAndShardsAreThoseOfAllRanks) {
  Communicator& ranks = world();
  ASSERT_GE(ranks.ranks(), 2) << "to be run by mpirun -n 2";
  int64_t one[] = {1, ranks.rank()};
  ranks.sum(one);
  EXPECT_EQ(one[0], ranks.ranks());
  EXPECT_EQ(one[1], ranks.ranks() * (ranks.ranks() - 1) / 2);
  const auto shard = size_t{(1 << 20) + 5};
  std::vector<float> all(shard * static_cast<size_t>(ranks.ranks())), mine(shard);
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = static_cast<float>(i % 101) + static_cast<float>(ranks.rank());
  ranks.sum_shards(all, mine);
  const size_t begin = static_cast<size_t>(ranks.rank()) * shard;
  const auto n = static_cast<float>(ranks.ranks());
  for (size_t i = 0; i < shard; ++i)
    ASSERT_EQ(mine[i], static_cast<float>((begin + i) % 101) * n + n * (n - 1) / 2) << i;
  ranks.gather_shards(mine, all);
  for (size_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(all[i], static_cast<float>(i % 101) * n + n * (n - 1) / 2) << i;
}

TEST(Ranks, TogetherTrainAsOneRankDoes) {
  const int64_t mine = 4 / world().ranks();
  Trainer parallel(tiny_run(), 1);
  Alone alone;
  Trainer single(tiny_run(), 1, alone);
  for (uint64_t step = 0; step < 6; ++step) {
    // Two micro-batches: of this rank's rows, and of all.
    const TrainBatch some[] = {rows_of(step, world().rank() * mine, mine),
                               rows_of(step + 100, world().rank() * mine, mine)};
    const TrainBatch whole[] = {rows_of(step, 0, 4), rows_of(step + 100, 0, 4)};
    const StepStats got = parallel.step(some), want = single.step(whole);
    EXPECT_NEAR(got.loss, want.loss, 1e-6 * want.loss) << step;
    EXPECT_NEAR(got.gradient_norm, want.gradient_norm, 1e-5 * want.gradient_norm) << step;
    EXPECT_EQ(got.tokens, want.tokens);
    EXPECT_EQ(got.expert_load, want.expert_load);
  }
}

TEST(Ranks, CheckpointsGoOnWithAnyNumberOfRanks) {
  const std::string folder = testing::TempDir() + "ranks-checkpoint";
  if (world().rank() == 0) std::filesystem::remove_all(folder);
  const int64_t mine = 4 / world().ranks();
  const auto step = [&](Trainer& trainer, uint64_t number) {
    return trainer.step(rows_of(number, world().rank() * mine, mine)).loss;
  };
  Trainer whole(tiny_run(), 1), rest(tiny_run(), 1);
  for (uint64_t i = 0; i < 2; ++i) step(whole, i);
  whole.save_checkpoint(folder, "");
  rest.load_checkpoint(folder);
  const double want = step(whole, 2);
  EXPECT_EQ(step(rest, 2), want);
  EXPECT_EQ(step(rest, 3), step(whole, 3));
  Alone alone;
  Trainer single(tiny_run(), 1, alone);
  single.load_checkpoint(folder);
  EXPECT_NEAR(single.step(rows_of(2, 0, 4)).loss, want, 1e-6 * want);
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  headgate::MpiWorld ranks(&argc, &argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
