// Tests of a sampler that obeys a constraint: masks, greedy choices, drafts and refusals.
#include "sampling/token_constraint.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/error.h"
#include "sampling/sampler.h"

namespace headgate {
namespace {

constexpr int32_t kEnd = 99;

// Token n may be followed by n + 1 and n + 2; behind `last` only the end.
class Stairs : public ConstraintState {
 public:
  explicit Stairs(int32_t last) : last_(last) {}

  bool fill_mask(std::span<uint64_t> mask) override {
    std::fill(mask.begin(), mask.end(), 0);
    bool any = false;
    for (int32_t token = 0; token < static_cast<int32_t>(mask.size()) * 64; ++token) {
      if (!allows(token)) continue;
      mask[static_cast<size_t>(token / 64)] |= uint64_t{1} << (token % 64);
      any = true;
    }
    return any;
  }
  bool accept(int32_t token) override {
    if (!allows(token)) return false;
    history_.push_back(token);
    return true;
  }
  bool may_end() const override { return at() >= last_; }
  bool is_complete() const override { return may_end(); }
  int64_t accepted() const override { return static_cast<int64_t>(history_.size()); }
  void rewind(int64_t tokens) override {
    history_.resize(history_.size() - static_cast<size_t>(tokens));
  }
  std::unique_ptr<ConstraintState> fork() const override { return std::make_unique<Stairs>(*this); }
  std::string explain() const override { return "a higher step"; }

 private:
  int32_t at() const { return history_.empty() ? 0 : history_.back(); }
  bool allows(int32_t token) const {
    if (may_end()) return token == kEnd;
    return token > at() && token <= at() + 2;
  }

  int32_t last_;
  std::vector<int32_t> history_;
};

// Falls from token 0 on: a free sampler would take low ids.
std::vector<float> falling_logits(int64_t n) {
  std::vector<float> logits(static_cast<size_t>(n));
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = -0.01f * static_cast<float>(i);
  return logits;
}

TEST(ConstrainedSampler, DrawsOnlyWhatIsAllowedAndThenTheEnd) {
  for (const float temperature : {0.0f, 1.5f}) {
    SamplingParams params;
    params.temperature = temperature;
    params.top_k = 5;
    params.seed = 3;
    Sampler sampler(params, 100);
    sampler.constrain(std::make_unique<Stairs>(80));
    int32_t at = 0;
    while (!sampler.constraint()->is_complete()) {
      const int32_t token = sampler.sample(falling_logits(128)).token;
      EXPECT_TRUE(token == at + 1 || token == at + 2) << token << " after " << at;
      at = token;
    }
    EXPECT_EQ(sampler.sample(falling_logits(128)).token, kEnd);
  }
}

TEST(ConstrainedSampler, GreedyTakesAnAllowedTokenWhereABiasBansThemAll) {
  SamplingParams params;
  params.temperature = 0;
  params.logit_bias = {{1, -std::numeric_limits<float>::infinity()},
                       {2, -std::numeric_limits<float>::infinity()}};
  Sampler sampler(params, 100);
  sampler.constrain(std::make_unique<Stairs>(80));
  EXPECT_EQ(sampler.sample(falling_logits(128)).token, 1);
}

TEST(ConstrainedSampler, DraftsAdvanceTheStateAndComeBack) {
  SamplingParams params;
  params.seed = 5;
  Sampler sampler(params, 100);
  sampler.constrain(std::make_unique<Stairs>(80));
  Sampler plain(params, 100);
  plain.constrain(std::make_unique<Stairs>(80));
  for (int round = 0; round < 10; ++round) {
    for (int draft = 0; draft < 4; ++draft) sampler.draft(falling_logits(128));
    sampler.uncount(4);
    EXPECT_EQ(sampler.sample(falling_logits(128)).token, plain.sample(falling_logits(128)).token);
  }
}

TEST(ConstrainedSampler, IsFreeWhileARefusedDraftStands) {
  SamplingParams params;
  params.temperature = 0;
  Sampler sampler(params, 100);
  sampler.constrain(std::make_unique<Stairs>(80));
  sampler.count(1);
  sampler.count(50);  // not allowed
  EXPECT_EQ(sampler.draft(falling_logits(128)), 0);
  EXPECT_EQ(sampler.constraint()->accepted(), 1);
  sampler.uncount(2);
  EXPECT_EQ(sampler.constraint()->accepted(), 1);
  EXPECT_EQ(sampler.sample(falling_logits(128)).token, 2);
}

TEST(ConstrainedSampler, SaysWhyWhenNothingIsAllowed) {
  Sampler sampler(SamplingParams{}, 50);  // the end token is no token of the text
  sampler.constrain(std::make_unique<Stairs>(0));
  try {
    (void)sampler.sample(falling_logits(50));
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("a higher step"), std::string::npos);
  }
}

}  // namespace
}  // namespace headgate
