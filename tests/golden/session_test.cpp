// Tests of the session: state reuse changes no token, limits and cancellation end a generation
// cleanly.
#include "engine/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "base/error.h"
#include "tests/golden/case_fixture.h"

namespace headgate {
namespace {

class SessionTest : public CaseFixture {
 protected:
  Session make(const SessionOptions& options = {.context = 512}) const {
    return Session(model_, text_tokens(), options);
  }

  static GenerationRequest greedy(std::vector<int32_t> prompt, int64_t count) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.sampling.temperature = 0;
    request.max_tokens = count;
    return request;
  }
};

TEST_P(SessionTest, AnsweringAgainReplaysAFewTokensAndGivesTheSameText) {
  Session session = make();
  const GenerationRequest request = greedy(random_tokens(100, 1), 20);
  const GenerationResult first = session.generate(request);
  const GenerationResult again = session.generate(request);
  EXPECT_EQ(first.reused_tokens, 0);
  EXPECT_GE(again.reused_tokens, 90);
  EXPECT_EQ(first.tokens, again.tokens);
  EXPECT_EQ(first.reason, FinishReason::kLength);
}

TEST_P(SessionTest, ContinuingAConversationReusesAllOfIt) {
  Session warm = make();
  std::vector<int32_t> conversation = random_tokens(40, 2);
  const GenerationResult answer = warm.generate(greedy(conversation, 12));
  conversation.insert(conversation.end(), answer.tokens.begin(), answer.tokens.end());
  const std::vector<int32_t> question = random_tokens(30, 3);
  conversation.insert(conversation.end(), question.begin(), question.end());
  const GenerationResult second = warm.generate(greedy(conversation, 12));
  EXPECT_EQ(second.reused_tokens, 40 + 11);  // the last sampled token was never fed
  Session cold = make();
  EXPECT_EQ(second.tokens, cold.generate(greedy(conversation, 12)).tokens);
}

TEST_P(SessionTest, AnEditInTheMiddleGivesTheTextOfAColdSession) {
  Session warm = make();
  std::vector<int32_t> conversation = random_tokens(60, 4);
  (void)warm.generate(greedy(conversation, 8));
  conversation[30] = (conversation[30] + 1) % 300;
  const GenerationResult edited = warm.generate(greedy(conversation, 8));
  EXPECT_LE(edited.reused_tokens, 30);
  Session cold = make();
  EXPECT_EQ(edited.tokens, cold.generate(greedy(conversation, 8)).tokens);
}

TEST_P(SessionTest, ChunkSizeChangesNoToken) {
  const GenerationRequest request = greedy(random_tokens(90, 5), 16);
  std::vector<int32_t> want;
  for (const int64_t chunk : {512, 64, 7, 1}) {
    Session session = make({.context = 512, .prefill_chunk = chunk});
    const GenerationResult got = session.generate(request);
    if (want.empty()) want = got.tokens;
    EXPECT_EQ(got.tokens, want) << "chunk " << chunk;
  }
}

TEST_P(SessionTest, StopsAtStopTokenContextCallbackAndCancel) {
  Session session = make({.context = 32});
  GenerationRequest request = greedy(random_tokens(20, 6), -1);
  const GenerationResult full = session.generate(request);
  EXPECT_EQ(full.reason, FinishReason::kContext);
  ASSERT_EQ(full.tokens.size(), 12u);

  request.stop_tokens = {full.tokens[3]};
  const GenerationResult stopped = session.generate(request);
  EXPECT_EQ(stopped.reason, FinishReason::kStop);
  EXPECT_LE(stopped.tokens.size(), 3u);

  request.stop_tokens.clear();
  int seen = 0;
  request.on_token = [&](const SampledToken&) { return ++seen < 5; };
  EXPECT_EQ(session.generate(request).tokens.size(), 5u);

  std::atomic<bool> cancel{true};
  request.cancel = &cancel;
  const GenerationResult cancelled = session.generate(request);
  EXPECT_EQ(cancelled.reason, FinishReason::kCancelled);
  EXPECT_TRUE(cancelled.tokens.empty());
}

TEST_P(SessionTest, RefusesPromptsThatDoNotFit) {
  Session session = make({.context = 16});
  EXPECT_THROW(session.generate(greedy({}, 1)), Error);
  EXPECT_THROW(session.generate(greedy(random_tokens(16, 7), 1)), Error);
  EXPECT_THROW(session.generate(greedy({1, 2, 100000}, 1)), Error);
  EXPECT_EQ(session.generate(greedy(random_tokens(8, 7), 2)).tokens.size(), 2u);
}

TEST_P(SessionTest, ScoringInChunksCoversEveryRowOnce) {
  Session session = make();
  const std::vector<int32_t> tokens = random_tokens(50, 8);
  int64_t rows = 0;
  session.score(tokens, 13, [&](int64_t first, View logits) {
    EXPECT_EQ(first, rows);
    rows += logits.rows;
  });
  EXPECT_EQ(rows, 50);
}

// Every request, plain and with drafts of any depth, greedy and sampled, cold and warm.
TEST_P(SessionTest, DraftsNeverChangeAText) {
  std::vector<int32_t> prompt = random_tokens(30, 21);
  const std::vector<int32_t> start = prompt;
  prompt.insert(prompt.end(), start.begin(), start.end());  // repeats: something to look up
  for (const float temperature : {0.0f, 0.7f}) {
    GenerationRequest request = greedy(prompt, 60);
    request.sampling.temperature = temperature;
    request.sampling.top_p = 0.9f;
    request.sampling.repetition_penalty = temperature > 0 ? 1.1f : 1.0f;
    request.sampling.frequency_penalty = temperature > 0 ? 0.2f : 0.0f;
    request.sampling.seed = 9;
    Session plain = make();
    const std::vector<int32_t> want = plain.generate(request).tokens;
    ASSERT_EQ(want.size(), 60u);
    GenerationRequest next = request;
    next.prompt.insert(next.prompt.end(), want.begin(), want.end());
    next.prompt.push_back(5);
    const std::vector<int32_t> want_next = plain.generate(next).tokens;
    for (const int64_t drafts : {-1, 1, 2, 3, 5, 7}) {
      SessionOptions options{.context = 512};
      options.drafts = drafts;
      Session session = make(options);
      EXPECT_EQ(session.generate(request).tokens, want) << drafts;
      EXPECT_EQ(session.generate(next).tokens, want_next) << drafts;
      const GenerationResult again = session.generate(request);
      EXPECT_EQ(again.tokens, want) << drafts;
      if (drafts > 0 && model_->has_mtp()) {
        EXPECT_GT(again.drafts.total_drafted(), 0);
      }
    }
  }
}

// Answers cut by a stop token, a length, the caller or a full context in the middle of a round
// leave the state as plain decoding would.
TEST_P(SessionTest, AnEndInTheMiddleOfDraftsLeavesAnExactState) {
  const std::vector<int32_t> prompt = random_tokens(20, 22);
  Session plain = make();
  const std::vector<int32_t> want = plain.generate(greedy(prompt, 40)).tokens;
  SessionOptions options{.context = 512};
  options.drafts = 4;
  for (int64_t end = 1; end < 24; ++end) {
    Session session = make(options);
    GenerationRequest request = greedy(prompt, end);
    const bool by_caller = end % 2 == 0;
    int64_t seen = 0;
    if (by_caller) {
      request.max_tokens = 40;
      request.on_token = [&](const SampledToken&) { return ++seen < end; };
    }
    const GenerationResult cut = session.generate(request);
    ASSERT_EQ(cut.tokens, std::vector<int32_t>(want.begin(), want.begin() + end));
    EXPECT_EQ(session.position(), 20 + end - 1);
    GenerationRequest rest = greedy(prompt, 40 - end);
    rest.prompt.insert(rest.prompt.end(), cut.tokens.begin(), cut.tokens.end());
    const GenerationResult more = session.generate(rest);
    EXPECT_EQ(more.reused_tokens, 20 + end - 1);
    EXPECT_EQ(more.tokens, std::vector<int32_t>(want.begin() + end, want.end())) << end;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SessionTest,
                         testing::Values("q3n_tiny", "q3_dense", "q35_moe", "q3n_spec"));

}  // namespace
}  // namespace headgate
