// Tests of drafting's parts that need no model: what is looked up, and how deep it pays to draft.
#include <gtest/gtest.h>

#include "base/random.h"
#include "engine/draft_control.h"
#include "engine/lookup_drafter.h"

namespace headgate {
namespace {

using Ids = std::vector<int32_t>;

TEST(LookupDrafter, FindsWhatFollowedTheLatestEarlierOccurrence) {
  LookupDrafter drafter;
  drafter.update(Ids{1, 2, 3, 7, 1, 2, 3, 8, 9, 4, 1, 2, 3});
  EXPECT_EQ(drafter.draft(2), (Ids{8, 9}));
  EXPECT_EQ(drafter.draft(20), (Ids{8, 9, 4, 1, 2, 3}));
  EXPECT_EQ(drafter.draft(0), Ids{});
}

TEST(LookupDrafter, HasNothingForNewText) {
  LookupDrafter drafter;
  drafter.update(Ids{1, 2});
  EXPECT_EQ(drafter.draft(3), Ids{});
  drafter.update(Ids{1, 2, 3, 4, 5});
  EXPECT_EQ(drafter.draft(3), Ids{});
}

TEST(LookupDrafter, ForgetsTextThatWasTakenBack) {
  LookupDrafter drafter;
  drafter.update(Ids{1, 2, 3, 4, 5, 6, 7});
  drafter.update(Ids{1, 2, 3, 9, 1, 2, 3});
  EXPECT_EQ(drafter.draft(1), (Ids{9}));
  drafter.update(Ids{4, 5, 6});  // the earlier 4 5 6 is gone
  EXPECT_EQ(drafter.draft(3), Ids{});
}

TEST(LookupDrafter, GrowingTextGivesWhatAFreshIndexGives) {
  LookupDrafter growing;
  Ids text;
  for (uint64_t i = 0; i < 400; ++i) {
    text.push_back(static_cast<int32_t>(random_bits(3, 0, i) % 4));
    growing.append(text.back());
    LookupDrafter fresh;
    fresh.update(text);
    ASSERT_EQ(growing.draft(5), fresh.draft(5)) << i;
  }
}

// A machine where a step costs 1 + `more` per further row and a pass of the module `draft_cost`.
class Machine {
 public:
  Machine(double more, double draft_cost) : more_(more), draft_cost_(draft_cost) {}

  // One round, with drafts that are kept with probability `keep`; returns its depth.
  int64_t round(double keep) {
    const int64_t depth = control_.choose(DraftSource::kModule, kMostDrafts, costs_).depth;
    costs_.record_step(depth + 1, 1.0 + more_ * static_cast<double>(depth));
    costs_.record_drafts(depth, draft_cost_ * static_cast<double>(depth));
    int64_t kept = 0;
    while (kept < depth && random_uniform(11, rounds_, static_cast<uint64_t>(kept)) < keep) ++kept;
    if (depth == 0) control_.rest();
    control_.record_round(DraftSource::kModule, depth, kept);
    ++rounds_;
    return depth;
  }
  double mean_depth(int64_t rounds, double keep) {
    int64_t depths = 0;
    for (int64_t i = 0; i < rounds; ++i) depths += round(keep);
    return static_cast<double>(depths) / static_cast<double>(rounds);
  }

 private:
  DraftControl control_;
  StepCosts costs_;
  double more_, draft_cost_;
  uint64_t rounds_ = 0;
};

double settled_depth(double keep, double more, double draft_cost) {
  Machine machine(more, draft_cost);
  (void)machine.mean_depth(400, keep);
  return machine.mean_depth(200, keep);
}

TEST(DraftControl, GoesDeepWhereDraftsAreKeptAndRowsAreCheap) {
  EXPECT_GT(settled_depth(0.95, 0.1, 0.02), 4.0);
}

TEST(DraftControl, StopsWhereDraftsAreLost) { EXPECT_LT(settled_depth(0.05, 0.3, 0.1), 0.1); }

TEST(DraftControl, StopsWhereRowsCostAsMuchAsSteps) {
  EXPECT_LT(settled_depth(0.8, 0.9, 0.1), 0.1);
}

TEST(DraftControl, DraftsAgainSoonAfterItsTextHasTurned) {
  Machine machine(0.2, 0.05);
  (void)machine.mean_depth(1500, 0.05);
  EXPECT_LT(machine.mean_depth(1000, 0.05), 0.01);
  // One interval between probes at most, and a few rounds.
  (void)machine.mean_depth(400, 0.95);
  EXPECT_GT(machine.mean_depth(200, 0.95), 3.0);
}

TEST(DraftControl, KeepsAFixedDepth) {
  DraftControl control(3);
  StepCosts costs;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(control.choose(DraftSource::kModule, 7, costs).depth, 3);
    EXPECT_EQ(control.choose(DraftSource::kModule, 2, costs).depth, 2);
    costs.record_step(4, 9.0);
    control.record_round(DraftSource::kModule, 3, 0);
  }
}

TEST(StepCosts, EstimatesStepsItHasNotSeen) {
  StepCosts costs;
  EXPECT_EQ(costs.step_seconds(2), 0);
  costs.record_step(1, 1.0);
  EXPECT_GT(costs.step_seconds(3), costs.step_seconds(2));
  costs.record_step(5, 2.0);
  EXPECT_DOUBLE_EQ(costs.step_seconds(3), 1.5);
}

}  // namespace
}  // namespace headgate
