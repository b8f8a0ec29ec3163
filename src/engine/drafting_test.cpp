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

// Feeds the control with rounds of a machine where a step costs `first` + `more` per further row
// and drafts are kept with probability `keep`; returns the mean depth of the last rounds.
double settled_depth(double keep, double more, double draft_cost) {
  DraftControl control;
  StepCosts costs;
  double depths = 0;
  constexpr int kRounds = 600, kLast = 200;
  for (int round = 0; round < kRounds; ++round) {
    const int64_t depth = control.choose(DraftSource::kModule, kMostDrafts, costs).depth;
    costs.record_step(depth + 1, 1.0 + more * static_cast<double>(depth));
    costs.record_drafts(depth, draft_cost * static_cast<double>(depth));
    int64_t kept = 0;
    while (kept < depth &&
           random_uniform(11, static_cast<uint64_t>(round), static_cast<uint64_t>(kept)) < keep) {
      ++kept;
    }
    control.record_round(DraftSource::kModule, depth, kept);
    if (round >= kRounds - kLast) depths += static_cast<double>(depth);
  }
  return depths / kLast;
}

TEST(DraftControl, GoesDeepWhereDraftsAreKeptAndRowsAreCheap) {
  EXPECT_GT(settled_depth(0.95, 0.1, 0.02), 4.0);
}

TEST(DraftControl, StopsWhereDraftsAreLost) { EXPECT_LT(settled_depth(0.05, 0.3, 0.1), 0.1); }

TEST(DraftControl, StopsWhereRowsCostAsMuchAsSteps) {
  EXPECT_LT(settled_depth(0.8, 0.9, 0.1), 0.1);
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
