// Tests of the scheduler's parts that need no model: shares, prompt tokens per step, places to
// keep.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/checkpoints.h"
#include "engine/fair_shares.h"
#include "engine/prefill_budget.h"
#include "engine/state_budget.h"

namespace headgate {
namespace {

class Silent : public RequestSink {
 public:
  bool tokens(int32_t, std::span<const SampledToken>) override { return true; }
  void finished(int32_t, const RequestResult&) override {}
};

std::unique_ptr<Sequence> sequence_of(uint64_t id, const std::string& key, int64_t prompt,
                                      int32_t priority = 0) {
  Request request;
  request.prompt.assign(static_cast<size_t>(prompt), 1);
  request.share_key = key;
  request.priority = priority;
  return std::make_unique<Sequence>(
      std::make_shared<Ticket>(id, std::move(request), std::make_shared<Silent>()), 0, 10);
}

TEST(FairShares, KeysAreServedAlikeHoweverManyRequestsTheyHave) {
  FairShares shares;
  std::vector<std::unique_ptr<Sequence>> all;
  for (uint64_t id = 0; id < 9; ++id) all.push_back(sequence_of(id, id < 8 ? "many" : "one", 1000));
  for (const auto& sequence : all) shares.add(*sequence->ticket);
  int64_t of_one = 0;
  for (int step = 0; step < 100; ++step) {
    const auto& next = *std::min_element(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return FairShares::before(*a, *b);
    });
    FairShares::serve(*next->ticket, 10);
    of_one += next->request().share_key == "one" ? 1 : 0;
  }
  EXPECT_EQ(of_one, 50);
}

TEST(FairShares, IdlingSavesNothingUp) {
  FairShares shares;
  const auto busy = sequence_of(1, "busy", 10), late = sequence_of(2, "late", 10);
  shares.add(*busy->ticket);
  FairShares::serve(*busy->ticket, 100000);
  shares.add(*late->ticket);
  FairShares::serve(*late->ticket, 1);
  EXPECT_TRUE(FairShares::before(*busy, *late));  // level when it came, one token ahead now
}

TEST(FairShares, ShortPromptsPassLongOnesButNotForEver) {
  FairShares shares;
  const auto large = sequence_of(1, "", 1000);
  shares.add(*large->ticket);
  FairShares::serve(*large->ticket, 200);
  const auto small = sequence_of(2, "", 50);
  shares.add(*small->ticket);
  EXPECT_TRUE(FairShares::before(*small, *large));
  FairShares::serve(*small->ticket, 800);
  const auto later = sequence_of(3, "", 50);
  shares.add(*later->ticket);
  EXPECT_TRUE(FairShares::before(*large, *later));
  const auto urgent = sequence_of(4, "", 5000, 1);
  shares.add(*urgent->ticket);
  EXPECT_TRUE(FairShares::before(*urgent, *large));
}

// A machine where a decoding step takes 10 ms and every prompt token adds `each`.
double settled_step(double each, double slowdown, int64_t reading = 1) {
  PrefillBudget budget(4096, slowdown, 5);
  double step = 0;
  for (int i = 0; i < 300; ++i) {
    const int64_t tokens = budget.share(4, reading, 0).tokens;
    const double seconds = 0.010 + each * static_cast<double>(tokens);
    budget.record(4, tokens, seconds);
    if (tokens > 0) step = seconds;
  }
  return step;
}

TEST(PrefillBudget, StepsLastAboutAsManyTimesLongerAsAllowed) {
  EXPECT_NEAR(settled_step(0.0001, 2), 0.020, 0.003);
  EXPECT_NEAR(settled_step(0.00001, 3), 0.030, 0.003);
  // Prompts always move on.
  EXPECT_NEAR(settled_step(0.01, 2), 0.010 + 0.01, 1e-9);
}

TEST(PrefillBudget, StreamsWaitLongerWhereMorePromptsWaitThanStreamsRun) {
  EXPECT_NEAR(settled_step(0.0001, 2, 4), 0.020, 0.003);
  EXPECT_NEAR(settled_step(0.0001, 2, 12), 0.040, 0.006);
  EXPECT_NEAR(settled_step(0.0001, 2, 1000), 0.090, 0.01);
}

TEST(PrefillBudget, PromptsAloneTakeWholeChunksWhileTheseAreShort) {
  PrefillBudget budget(4096, 2, 5);
  EXPECT_EQ(budget.share(0, 1, 1).tokens, 4096);
  budget.record(0, 4096, 1.0);
  EXPECT_EQ(budget.share(0, 1, 1).tokens, 4096);
  for (int i = 0; i < 50; ++i) budget.record(0, 4096, 20.0);
  EXPECT_NEAR(static_cast<double>(budget.share(0, 1, 0).tokens), 1024, 64);
}

// What steps of a small model become while a long prompt loads, of which each step that touches it
// reads `keys` seconds' worth.
struct Loading {
  int64_t steps = 0, pauses = 0, tokens = 0;
  double seconds = 0, longest = 0;
};
Loading load_long_prompt(double quiet, double keys, double slowdown) {
  PrefillBudget budget(4096, slowdown, 5);
  for (int i = 0; i < 40; ++i) budget.record(4, 0, quiet);
  Loading out;
  for (int i = 0; i < 6000; ++i) {
    const PrefillBudget::Share share = budget.share(4, 1, 1);
    const int64_t tokens = share.long_prompts ? share.tokens : 0;
    const double seconds =
        quiet + (tokens > 0 ? keys + 0.00005 * static_cast<double>(tokens) : 0.0);
    budget.record(4, tokens, seconds);
    if (i < 2000) continue;  // learning
    ++out.steps;
    out.pauses += seconds > 2.5 * quiet ? 1 : 0;
    out.tokens += tokens;
    out.seconds += seconds;
    out.longest = std::max(out.longest, seconds);
  }
  return out;
}

TEST(PrefillBudget, LongPromptsLoadInRarePausesWhereStepsAreShort) {
  const Loading load = load_long_prompt(0.00025, 0.0006, 1.75);
  EXPECT_GT(load.pauses, 0);
  EXPECT_LT(load.pauses, load.steps / 100);
  EXPECT_LT(load.longest, 0.018);
  EXPECT_LT(load.seconds / static_cast<double>(load.steps), 1.75 * 0.00025);
  // In every step there would be room for none of them.
  EXPECT_GT(static_cast<double>(load.tokens) / load.seconds, 3000);
}

TEST(PrefillBudget, LongPromptsTakePartInEveryStepWhereStepsAreLong) {
  const Loading load = load_long_prompt(0.010, 0.0006, 1.75);
  EXPECT_EQ(load.pauses, 0);
  EXPECT_NEAR(load.longest, 0.0175, 0.002);
}

TEST(PrefillBudget, ShortPromptsDoNotWaitForPauses) {
  PrefillBudget budget(4096, 1.75, 5);
  for (int i = 0; i < 40; ++i) budget.record(4, 0, 0.00025);
  EXPECT_TRUE(budget.share(4, 2, 1).long_prompts);
  const PrefillBudget::Share next = budget.share(4, 2, 1);
  EXPECT_FALSE(next.long_prompts);
  EXPECT_GT(next.tokens, 0);
  EXPECT_TRUE(budget.share(4, 2, 0).long_prompts);  // there is none
}

TEST(Checkpoints, AreFewAndWhereTheyServe) {
  EXPECT_EQ(choose_checkpoints(5, {}, 4096), std::vector<int64_t>{});
  EXPECT_EQ(choose_checkpoints(100, {}, 4096), std::vector<int64_t>{92});
  EXPECT_EQ(choose_checkpoints(100, {90, -3, 100, 2000, 20}, 4096), (std::vector<int64_t>{20, 90}));
  EXPECT_EQ(choose_checkpoints(10000, {}, 4096), (std::vector<int64_t>{4096, 8192, 9992}));
  // A message every 50 tokens: the last, the first, and few between.
  std::vector<int64_t> messages;
  for (int64_t at = 50; at < 5000; at += 50) messages.push_back(at);
  const std::vector<int64_t> kept = choose_checkpoints(5000, messages, 4096);
  EXPECT_EQ(kept.front(), 50);
  EXPECT_EQ(kept[kept.size() - 1], 4950 + 42);
  EXPECT_LT(kept.size(), 25u);
}

TEST(StateBudget, IsNeverBelowWhatIsNeeded) {
  EXPECT_GE(default_state_budget(1000), 1000);
  EXPECT_EQ(default_state_budget(int64_t{1} << 60), int64_t{1} << 60);
}

}  // namespace
}  // namespace headgate
