// Tests of the sampling chain: expected distributions from transformers, draws, seeds and refusals.
#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"

namespace headgate {
namespace {

std::vector<float> random_logits(int64_t n, uint64_t seed) {
  std::vector<float> logits(static_cast<size_t>(n));
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = 3 * random_normal(seed, 0, i);
  return logits;
}

SamplingParams params_from(const json::object& o) {
  SamplingParams p;
  const auto number = [&](const char* key, float fallback) {
    return o.contains(key) ? o.at(key).to_number<float>() : fallback;
  };
  p.temperature = number("temperature", 1.0f);
  p.top_k = static_cast<int32_t>(number("top_k", 0.0f));
  p.top_p = number("top_p", 1.0f);
  p.min_p = number("min_p", 0.0f);
  p.repetition_penalty = number("repetition_penalty", 1.0f);
  p.presence_penalty = number("presence_penalty", 0.0f);
  p.frequency_penalty = number("frequency_penalty", 0.0f);
  return p;
}

TEST(Sampler, MatchesTransformersDistributions) {
  const std::string path = HEADGATE_SOURCE_DIR "/tests/golden/kernels/sampling.json";
  const json::value cases = parse_json(read_text_file(path), path);
  ASSERT_GE(cases.as_array().size(), 5u);
  for (const json::value& c : cases.as_array()) {
    std::vector<float> logits;
    for (const json::value& v : c.at("logits").as_array()) logits.push_back(v.to_number<float>());
    std::vector<int32_t> context;
    for (const json::value& v : c.at("context").as_array())
      context.push_back(v.to_number<int32_t>());
    const SamplingParams p = params_from(c.at("params").as_object());
    Sampler sampler(p, static_cast<int64_t>(logits.size()));
    sampler.add_prompt(context);
    const std::vector<double> got = sampler.distribution(logits);
    const json::array& want = c.at("probs").as_array();
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], want[i].to_number<double>(), 1e-6)
          << dump_json(c.at("params")) << " token " << i;
    }
  }
}

TEST(Sampler, DrawsWithTheStatedProbabilities) {
  const std::vector<float> logits = random_logits(50, 3);
  SamplingParams p;
  p.temperature = 0.8f;
  p.top_k = 12;
  p.top_p = 0.9f;
  const std::vector<double> want = Sampler(p, 50).distribution(logits);
  constexpr int kDraws = 100000;
  std::vector<int> counts(50);
  Sampler sampler(p, 50);
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.sample(logits).token)];
  double chi_square = 0;
  int degrees = -1;
  for (size_t i = 0; i < 50; ++i) {
    if (want[i] == 0) {
      EXPECT_EQ(counts[i], 0);
      continue;
    }
    ++degrees;
    chi_square += std::pow(counts[i] - kDraws * want[i], 2) / (kDraws * want[i]);
  }
  // Five standard deviations above the mean of the chi-square distribution.
  EXPECT_LT(chi_square, degrees + 5 * std::sqrt(2.0 * degrees));
}

TEST(Sampler, DrawDependsOnSeedAndPositionOnly) {
  const std::vector<float> logits = random_logits(1000, 4);
  SamplingParams p;
  p.seed = 42;
  Sampler a(p, 1000), b(p, 1000);
  std::vector<int32_t> first, second;
  for (int i = 0; i < 20; ++i) first.push_back(a.sample(logits).token);
  for (int i = 0; i < 20; ++i) second.push_back(b.sample(logits).token);
  EXPECT_EQ(first, second);
  p.seed = 43;
  Sampler c(p, 1000);
  std::vector<int32_t> third;
  for (int i = 0; i < 20; ++i) third.push_back(c.sample(logits).token);
  EXPECT_NE(first, third);
}

// A draft drawn with the same numbers from a slightly different distribution: the share of equal
// tokens is at least (1 - TV) / (1 + TV), whatever the order of the candidates.
TEST(Sampler, DraftsFromSimilarLogitsMostlyAgree) {
  const std::vector<float> target = random_logits(200, 6);
  std::vector<float> guess = target;
  for (size_t i = 0; i < guess.size(); ++i) guess[i] += 0.3f * random_normal(9, 1, i);
  SamplingParams p;
  p.seed = 5;
  const std::vector<double> a = Sampler(p, 200).distribution(target);
  const std::vector<double> b = Sampler(p, 200).distribution(guess);
  double distance = 0;
  for (size_t i = 0; i < a.size(); ++i) distance += 0.5 * std::fabs(a[i] - b[i]);
  constexpr int kDraws = 20000;
  int equal = 0;
  Sampler sampler(p, 200);
  for (int i = 0; i < kDraws; ++i) {
    const int32_t drafted = sampler.draft(guess);
    sampler.uncount(1);
    equal += sampler.sample(target).token == drafted ? 1 : 0;
  }
  const double least = (1 - distance) / (1 + distance);
  EXPECT_GT(distance, 0.05);
  EXPECT_GT(equal, kDraws * (least - 0.01));
}

TEST(Sampler, UncountedTokensLeaveNoTrace) {
  const std::vector<float> logits = random_logits(60, 8);
  SamplingParams p;
  p.repetition_penalty = 1.3f;
  p.presence_penalty = 0.5f;
  p.frequency_penalty = 0.2f;
  Sampler plain(p, 60), drafting(p, 60);
  const std::vector<int32_t> prompt = {1, 2, 3, 2};
  plain.add_prompt(prompt);
  drafting.add_prompt(prompt);
  for (int i = 0; i < 30; ++i) {
    for (int j = 0; j < i % 4; ++j) drafting.draft(logits);
    drafting.count(3);
    drafting.uncount(i % 4 + 1);
    EXPECT_EQ(drafting.distribution(logits), plain.distribution(logits));
    EXPECT_EQ(drafting.sample(logits).token, plain.sample(logits).token);
  }
}

TEST(Sampler, GreedyTakesTheLowestIdOnTies) {
  SamplingParams p;
  p.temperature = 0;
  const std::vector<float> logits = {1, 5, 5, 2};
  EXPECT_EQ(Sampler(p, 4).sample(logits).token, 1);
}

TEST(Sampler, NeverReturnsPaddingRows) {
  std::vector<float> logits = random_logits(100, 5);
  for (size_t i = 90; i < 100; ++i) logits[i] = 50;
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingParams p;
    p.temperature = temperature;
    Sampler sampler(p, 90);
    for (int i = 0; i < 200; ++i) EXPECT_LT(sampler.sample(logits).token, 90);
  }
}

TEST(Sampler, TopKKeepsTies) {
  SamplingParams p;
  p.top_k = 2;
  const std::vector<double> d = Sampler(p, 5).distribution(std::vector<float>{1, 3, 2, 2, 0});
  EXPECT_GT(d[1], 0);
  EXPECT_DOUBLE_EQ(d[2], d[3]);
  EXPECT_GT(d[2], 0);
  EXPECT_EQ(d[0], 0);
}

TEST(Sampler, TopPOverALargeVocabularyEqualsAFullSort) {
  const std::vector<float> logits = random_logits(20000, 6);
  SamplingParams all;
  const std::vector<double> full = Sampler(all, 20000).distribution(logits);
  SamplingParams p;
  p.top_p = 0.97f;
  const std::vector<double> kept = Sampler(p, 20000).distribution(logits);
  std::vector<double> sorted = full;
  std::sort(sorted.rbegin(), sorted.rend());
  size_t want = 0;
  for (double mass = 0; mass < 0.97f;) mass += sorted[want++];
  EXPECT_EQ(
      static_cast<size_t>(std::count_if(kept.begin(), kept.end(), [](double v) { return v > 0; })),
      want);
}

TEST(Sampler, PenalisesGeneratedTokensPerOccurrence) {
  SamplingParams p;
  p.temperature = 0;
  p.frequency_penalty = 0.6f;
  p.presence_penalty = 0.3f;
  Sampler sampler(p, 2);
  const std::vector<float> logits = {1.0f, 0.0f};
  EXPECT_EQ(sampler.sample(logits).token, 0);  // then 1.0 - 0.9 = 0.1
  EXPECT_EQ(sampler.sample(logits).token, 0);  // then 1.0 - 1.5 = -0.5
  EXPECT_EQ(sampler.sample(logits).token, 1);
}

TEST(Sampler, BiasBansAndForces) {
  SamplingParams p;
  p.temperature = 0;
  p.logit_bias = {{1, -std::numeric_limits<float>::infinity()}};
  EXPECT_EQ(Sampler(p, 3).sample(std::vector<float>{0, 9, 1}).token, 2);
  p.logit_bias = {{0, 100.0f}};
  EXPECT_EQ(Sampler(p, 3).sample(std::vector<float>{0, 9, 1}).token, 0);
}

TEST(Sampler, LogprobsAreTheModelsOwn) {
  SamplingParams p;
  p.temperature = 0;
  p.top_logprobs = 2;
  p.logit_bias = {{0, 100.0f}};
  const SampledToken s = Sampler(p, 3).sample(std::vector<float>{0, std::log(3.0f), 0});
  EXPECT_EQ(s.token, 0);
  EXPECT_NEAR(s.logprob, std::log(0.2), 1e-6);
  ASSERT_EQ(s.top_logprobs.size(), 2u);
  EXPECT_EQ(s.top_logprobs[0].token, 1);
  EXPECT_NEAR(s.top_logprobs[0].logprob, std::log(0.6), 1e-6);
  EXPECT_EQ(s.top_logprobs[1].token, 0);
}

TEST(Sampler, SurvivesNanAndInfiniteLogits) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingParams p;
    p.temperature = temperature;
    EXPECT_EQ(Sampler(p, 3).sample(std::vector<float>{nan, -inf, 1}).token, 2);
    EXPECT_EQ(Sampler(p, 3).sample(std::vector<float>{-inf, -inf, -inf}).token, 0);
  }
}

TEST(SamplingParams, RefusesWhatMakesNoSense) {
  SamplingParams p;
  EXPECT_NO_THROW(check_sampling_params(p, 10));
  p.top_p = 1.5f;
  EXPECT_THROW(check_sampling_params(p, 10), Error);
  p = {};
  p.temperature = -1;
  EXPECT_THROW(check_sampling_params(p, 10), Error);
  p = {};
  p.logit_bias = {{10, 1.0f}};
  EXPECT_THROW(check_sampling_params(p, 10), Error);
  p = {};
  p.temperature = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(check_sampling_params(p, 10), Error);
}

}  // namespace
}  // namespace headgate
