// Drafts in everything at once: batches, cached prefixes, constraints, preemption, cancellation and
// early ends, in a random mixture. Every answer, and every state it leaves behind, is that of plain
// decoding.
#include <cstdlib>
#include <thread>

#include "engine/sequence_drafts.h"
#include "tests/golden/engine_mixtures.h"

namespace headgate {
namespace {

int64_t seeds() {
  const char* wanted = std::getenv("HEADGATE_TEST_SEEDS");  // more by hand
  return wanted != nullptr ? std::atoll(wanted) : 1;
}

class Speculation : public EngineFixture {
 protected:
  // A turn of one of the conversations, different in every way.
  Request random_turn(std::vector<int32_t>& text, uint64_t seed) const {
    const auto draw = [&](uint64_t index, int64_t below) {
      return static_cast<int64_t>(random_bits(seed, 9, index) % static_cast<uint64_t>(below));
    };
    const auto size = static_cast<int64_t>(text.size());
    if (draw(0, 6) == 0 && size > 1) text.resize(static_cast<size_t>(1 + draw(1, size - 1)));
    if (draw(2, 3) == 0 && text.size() > 8) {  // said again: something to look up
      const std::vector<int32_t> last(text.end() - 8, text.end());
      text.insert(text.end(), last.begin(), last.end());
    }
    const std::vector<int32_t> more = random_tokens(1 + draw(3, 40), seed);
    text.insert(text.end(), more.begin(), more.end());
    if (text.size() > 400) text.erase(text.begin() + 5, text.end() - 60);
    Request request = any_request(seed, 2, 40);
    request.prompt = text;
    request.sampling.top_logprobs = 0;
    request.sampling.frequency_penalty = draw(4, 4) == 0 ? 0.3f : 0.0f;
    request.sampling.min_p = draw(5, 4) == 0 ? 0.05f : 0.0f;
    request.checkpoints = {size, size / 2};
    request.drafts = draw(6, 3) == 0 ? -1 : 1 + draw(7, 7);
    request.priority = static_cast<int32_t>(draw(8, 3));
    if (draw(9, 4) == 0) request.constraint = std::make_shared<ForbidInTurn>(3, 1 + draw(10, 30));
    if (draw(11, 3) == 0) request.stop_tokens = random_tokens(20, seed + 1);
    return request;
  }

  std::unique_ptr<Checkpoint> other_checkpoint_;
  std::unique_ptr<Backend> other_backend_;
};

TEST_P(Speculation, AnyMixtureOfRequestsSaysWhatPlainDecodingSays) {
  other_checkpoint_ = std::make_unique<Checkpoint>(
      open_checkpoint(std::string(HEADGATE_SOURCE_DIR "/tests/golden/cases/") + GetParam()));
  other_backend_ = open_backend({.threads = 1});
  const auto other_model = Model::load(*other_checkpoint_, *other_backend_);
  const StateShape shape = model_->state_shape(DType::kF32, 256, kMostDrafts + 1);
  int64_t drafted = 0, preemptions = 0, cached = 0;
  for (int64_t seed = 1; seed <= seeds(); ++seed) {
    EngineOptions options;
    options.context = 1024;
    options.prefix_cache = false;
    options.drafts = 0;
    Engine plain(other_model, text_tokens(), options);
    options.prefix_cache = true;
    options.drafts = -1;
    options.checkpoint_every = 64;
    options.drafting.top_k = seed % 3 == 0 ? 1 : 0;
    // Too little for the larger batches, so that some lose their state in the middle of a draft.
    options.state_budget_bytes = 2 * (6 * shape.recurrent_bytes() + 14 * shape.page_bytes());
    Engine drafting(model_, text_tokens(), options);
    std::vector<std::vector<int32_t>> conversations(6);
    uint64_t index = static_cast<uint64_t>(seed) << 32;
    for (const int64_t batch : {1, 2, 4, 7, 32, 1, 3, 8, 12, 5}) {
      struct Turn {
        size_t which;
        std::shared_ptr<Recorder> drafts, plain;
        bool cancelled;
      };
      std::vector<Turn> turns;
      for (int64_t i = 0; i < batch; ++i) {
        const auto which = static_cast<size_t>(random_bits(4, 4, ++index) % conversations.size());
        const Request request = random_turn(conversations[which], index);
        Turn turn{which, std::make_shared<Recorder>(), std::make_shared<Recorder>(), false};
        if (index % 5 == 0) turn.drafts->stop_after = turn.plain->stop_after = 3;
        plain.submit(request, turn.plain);
        const RequestId id = drafting.submit(request, turn.drafts);
        if (index % 7 == 0) {
          turn.cancelled = true;
          std::this_thread::sleep_for(std::chrono::microseconds(300));
          drafting.cancel(id);
        }
        turns.push_back(std::move(turn));
      }
      for (const Turn& turn : turns) {
        turn.drafts->wait();
        turn.plain->wait();
        std::vector<int32_t> want = turn.plain->answer();
        std::vector<float> logprobs = turn.plain->logprobs;
        if (turn.cancelled) {  // the beginning of it, then
          ASSERT_LE(turn.drafts->answer().size(), want.size());
          want.resize(turn.drafts->answer().size());
          logprobs.resize(want.size());
        } else {
          ASSERT_EQ(turn.drafts->result().reason, turn.plain->result().reason);
        }
        ASSERT_EQ(turn.drafts->answer(), want) << "seed " << seed << ", batch " << batch;
        ASSERT_EQ(turn.drafts->logprobs, logprobs) << "seed " << seed << ", batch " << batch;
        std::vector<int32_t>& text = conversations[turn.which];
        text.insert(text.end(), want.begin(), want.end());
        preemptions += turn.drafts->result().preemptions;
        cached += turn.drafts->result().cached_tokens;
      }
    }
    drafted += drafting.stats().drafted_tokens;
  }
  EXPECT_GT(drafted, 20);
  EXPECT_GT(cached, 0);
  if (seeds() > 4) {
    EXPECT_GT(preemptions, 0);
  }
}

// The module goes on from a cached prefix with what it knew: the same drafts, the same of them
// kept.
TEST_P(Speculation, DraftsAfterACachedPrefixAreThoseOfAColdStart) {
  if (!model_->has_mtp()) GTEST_SKIP() << "the case has no module";
  const auto ask = [&](Engine& engine, const std::vector<int32_t>& prompt) {
    Request request;
    request.prompt = prompt;
    request.sampling.temperature = 0;
    request.max_tokens = 40;
    request.drafts = 3;
    auto listener = std::make_shared<Listener>();
    engine.submit(request, listener);
    listener->wait();
    return listener;
  };
  EngineOptions options;
  options.context = 1024;
  options.drafting.lookup = false;
  const auto warm = make(options);
  options.prefix_cache = false;
  std::vector<int32_t> text = random_tokens(90, 5);
  for (int turn = 0; turn < 4; ++turn) {
    const auto first = ask(*warm, text);
    const auto& result = first->result();
    if (turn > 0) {
      EXPECT_GT(result.cached_tokens, 80);
    }
    const auto cold = make(options);
    const auto second = ask(*cold, text);
    EXPECT_EQ(second->result().cached_tokens, 0);
    EXPECT_EQ(first->answer(), second->answer());
    EXPECT_EQ(result.drafts.drafted, second->result().drafts.drafted) << "turn " << turn;
    EXPECT_EQ(result.drafts.accepted, second->result().drafts.accepted) << "turn " << turn;
    text.insert(text.end(), first->answer().begin(), first->answer().end());
    const std::vector<int32_t> question = random_tokens(12, static_cast<uint64_t>(70 + turn));
    text.insert(text.end(), question.begin(), question.end());
  }
}

// What a sequence's module hears while a text is written.
struct Follower {
  Follower(const Model& model, int64_t text)
      : module(model, text, DType::kF32, 64 << 20, {}),
        drafts(&module, DraftControl(0), false),
        text_tokens(text),
        size(module.hidden_size()) {
    drafts.follow(true);
  }
  // The text's next tokens; its first has no pair.
  void hear(std::span<const int32_t> tokens, bool rests) {
    std::vector<float> hidden(static_cast<size_t>(size));
    for (size_t at = 0; at < tokens.size(); ++at) {
      if (at > 0) drafts.add_token(tokens[at]);
      const auto token = static_cast<uint64_t>(tokens[at]);
      for (int64_t i = 0; i < size; ++i)
        hidden[static_cast<size_t>(i)] =
            static_cast<float>(random_normal(token, 5, static_cast<uint64_t>(i)));
      if (rests) drafts.rest(false);
      drafts.add_rows({hidden.data(), 1, size}, {}, false);
    }
    drafts.add_token(7);
  }
  std::vector<int32_t> draft(int64_t count) {
    SamplingParams greedy;
    greedy.temperature = 0;
    Sampler sampler(greedy, text_tokens);
    DraftModule::Chain chain{drafts.drafter(), &sampler, count};
    module.draft({&chain, 1});
    return chain.drafts;
  }

  DraftModule module;
  SequenceDrafts drafts;
  int64_t text_tokens, size;
};

// A text that is not drafted costs the module neither passes nor memory; then it goes on with the
// last pairs, which are all that it knows.
TEST_P(Speculation, AModuleThatRestsRunsNoPassAndDraftsAgainFromTheLastPairs) {
  if (!model_->has_mtp()) GTEST_SKIP() << "the case has no module";
  const std::vector<int32_t> text = random_tokens(400, 3);
  Follower resting(*model_, text_tokens());
  resting.hear(text, true);
  EXPECT_EQ(resting.module.passes(), 0);
  EXPECT_EQ(resting.module.pool().used_bytes(), 0);
  EXPECT_FALSE(resting.drafts.drafter()->covers(400));
  ASSERT_TRUE(resting.drafts.ready());
  const std::vector<int32_t> drafts = resting.draft(3);
  EXPECT_EQ(drafts.size(), 3u);
  EXPECT_EQ(resting.module.passes(), 3);
  const int64_t remembered = resting.drafts.drafter()->position();
  EXPECT_GE(remembered, ModuleDrafter::kRemembered);
  EXPECT_LE(remembered, 2 * ModuleDrafter::kRemembered);

  Follower fresh(*model_, text_tokens());
  fresh.hear(std::span(text).last(static_cast<size_t>(remembered)), false);
  EXPECT_EQ(fresh.draft(3), drafts);
  EXPECT_TRUE(fresh.drafts.drafter()->covers(remembered));
}

// A part of the vocabulary, greedy drafts, and none from the text: other drafts, the same answers.
TEST_P(Speculation, HowDraftsAreDrawnChangesNoText) {
  const Request request = any_request(7, 60, 60);
  for (const DraftOptions& drawn : {DraftOptions{1, 0, true}, DraftOptions{4, 32, false},
                                    DraftOptions{0, 64, true}, DraftOptions{0, 16, false}}) {
    for (const float temperature : {0.0f, 0.8f}) {
      Request other = request;
      other.sampling.temperature = temperature;
      EngineOptions options;
      options.context = 512;
      options.drafting = drawn;
      options.drafts = 4;
      const auto engine = make(options);
      const auto listener = std::make_shared<Listener>();
      engine->submit(other, listener);
      listener->wait();
      EXPECT_EQ(listener->answer(), alone(other)) << drawn.top_k << " " << drawn.vocabulary;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Speculation,
                         testing::Values("q3n_tiny", "q3_dense", "q35_moe", "q3n_spec"));

}  // namespace
}  // namespace headgate
