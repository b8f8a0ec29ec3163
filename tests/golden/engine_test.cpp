// Tests of the engine: many requests at once, from cached beginnings or not, give what each gives
// alone.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include "tests/golden/engine_mixtures.h"

namespace headgate {
namespace {

class EngineTest : public EngineFixture {};

TEST_P(EngineTest, ManyAtOnceSayWhatEachSaysAlone) {
  std::vector<Request> requests;
  std::vector<std::vector<int32_t>> want;
  for (uint64_t seed = 1; seed <= 32; ++seed) {
    requests.push_back(any_request(seed));
    want.push_back(alone(requests.back()));
  }
  int64_t drafted = 0;
  for (const size_t at_once : {1, 5, 8, 32, 96}) {  // 96: several threads draw
    EngineOptions options;
    options.context = 512;
    options.state_budget_bytes = int64_t{64} << 20;
    options.drafts = at_once == 8 ? 3 : -1;
    const auto engine = make(options);
    const size_t all = std::max(requests.size(), at_once);
    for (size_t first = 0; first < all; first += at_once) {
      const size_t end = std::min(first + at_once, all);
      std::vector<std::shared_ptr<Listener>> listeners;
      for (size_t i = first; i < end; ++i) {
        listeners.push_back(std::make_shared<Listener>());
        engine->submit(requests[i % 32], listeners.back());
      }
      for (size_t i = first; i < end; ++i) {
        Listener& listener = *listeners[i - first];
        listener.wait();
        EXPECT_EQ(listener.answer(), want[i % 32]) << i << " of " << at_once;
        EXPECT_EQ(listener.result().generated_tokens, static_cast<int64_t>(want[i % 32].size()));
      }
    }
    drafted += engine->stats().drafted_tokens;
  }
  if (model_->has_mtp()) {
    EXPECT_GT(drafted, 0);
  }
}

TEST_P(EngineTest, LongPromptsBesideStreamsAndShortOnesSayWhatEachSaysAlone) {
  std::vector<Request> requests;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    requests.push_back(any_request(seed));
    requests.back().max_tokens = seed <= 3 ? 150 : 5;
  }
  requests[3].prompt = random_tokens(2500, 4);
  requests[4].prompt = random_tokens(2200, 5);
  EngineOptions options;
  options.context = 4096;
  options.prefix_cache = false;
  const auto engine = make(options);
  std::vector<std::shared_ptr<Listener>> together, apart;
  for (std::vector<std::shared_ptr<Listener>>* listeners : {&apart, &together}) {
    for (const Request& request : requests) {
      listeners->push_back(std::make_shared<Listener>());
      engine->submit(request, listeners->back());
      if (listeners == &apart) apart.back()->wait();
    }
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    together[i]->wait();
    EXPECT_EQ(together[i]->answer(), apart[i]->answer()) << i;
  }
}

TEST_P(EngineTest, ChoicesAreTheAnswersOfTheirSeeds) {
  Request request = any_request(4);
  request.choices = 5;
  const auto listener = std::make_shared<Listener>(5);
  {
    const auto engine = make();
    engine->submit(request, listener);
    listener->wait();
  }
  for (int32_t choice = 0; choice < 5; ++choice)
    EXPECT_EQ(listener->answers[static_cast<size_t>(choice)], alone(request, choice)) << choice;
}

TEST_P(EngineTest, ShortMemoryPreemptsAndChangesNoText) {
  const StateShape shape = model_->state_shape(DType::kF32);
  // Three begin with the memory they need, and each grows into a page more.
  EngineOptions options;
  options.context = 1024;
  options.state_budget_bytes = 3 * shape.recurrent_bytes() + 6 * shape.page_bytes();
  options.drafts = 0;  // no memory for them either
  Gate gate;
  options.before_step = [&] { gate.wait(); };
  auto engine = make(options);
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Listener>> listeners;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Request request = any_request(seed);
    request.prompt = random_tokens(230 + static_cast<int64_t>(seed), seed);
    request.max_tokens = 350;
    requests.push_back(request);
    listeners.push_back(std::make_shared<Listener>());
    engine->submit(request, listeners.back());
  }
  gate.let_go();
  for (const auto& listener : listeners) listener->wait();
  EXPECT_GT(engine->stats().preemptions, 0);
  engine.reset();  // one user of the model at a time
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(listeners[i]->answer(), alone(requests[i])) << i;
}

// Conversations that grow, are edited, cut, forked, answered again and broken off, several at a
// time, in memory that is too small for all of them: warm answers are the cold ones, bit for bit.
TEST_P(EngineTest, WarmAnswersAreTheColdOnesBitForBit) {
  const std::unique_ptr<Backend> other_backend = open_backend({.threads = 1});
  const std::shared_ptr<const Model> other_model = Model::load(*checkpoint_, *other_backend);
  const StateShape shape = model_->state_shape(DType::kF32);
  EngineOptions options;
  options.context = 1024;
  options.checkpoint_every = 64;
  options.state_budget_bytes = 9 * shape.recurrent_bytes() + 16 * shape.page_bytes();
  const auto warm = make(options);
  options.prefix_cache = false;
  Engine cold(other_model, text_tokens(), options);

  Conversations conversations(5, 3);
  const auto tokens = [&](int64_t count, uint64_t seed) { return random_tokens(count, seed); };
  int64_t cached = 0;
  for (int round = 0; round < 24; ++round) {
    struct Turn {
      size_t which;
      std::shared_ptr<Recorder> warm, cold;
    };
    std::vector<Turn> turns;
    for (int i = 0; i < 3; ++i) {
      const Conversations::Turn next = conversations.next(1, 70, tokens);
      Request request = any_request(next.index);
      request.prompt = conversations.texts[next.which];
      request.sampling.top_logprobs = 8;
      request.checkpoints = {10, next.before, next.before / 2};
      request.cache_salt = next.which == 4 ? "other" : "";
      turns.push_back({next.which, std::make_shared<Recorder>(), std::make_shared<Recorder>()});
      cold.submit(request, turns.back().cold);
      const RequestId id = warm->submit(request, turns.back().warm);
      if (next.action == 4) warm->cancel(id);
      if (next.action >= 6) turns.back().warm->wait();  // else it runs beside the next
    }
    for (const Turn& turn : turns) {
      turn.warm->wait();
      turn.cold->wait();
      const RequestResult& result = turn.warm->result();
      cached += result.cached_tokens;
      EXPECT_LE(result.cached_tokens, result.miss_position);
      if (result.reason == FinishReason::kCancelled) continue;
      ASSERT_EQ(turn.warm->answer(), turn.cold->answer()) << "round " << round;
      ASSERT_EQ(turn.warm->logprobs, turn.cold->logprobs) << "round " << round;
      std::vector<int32_t>& text = conversations.texts[turn.which];
      text.insert(text.end(), turn.warm->answer().begin(), turn.warm->answer().end());
    }
  }
  EXPECT_GT(cached, 1000);
  warm->forget_prefixes();
  wait_until_empty(*warm);
  EXPECT_EQ(warm->stats().state_bytes, 0);
}

TEST_P(EngineTest, ConstraintsHoldWithAndWithoutDrafts) {
  std::vector<std::vector<std::vector<int32_t>>> said;
  for (const int64_t drafts : {0, 3, -1}) {
    EngineOptions options;
    options.context = 512;
    options.drafts = drafts;
    const auto engine = make(options);
    Request request = any_request(4);
    request.max_tokens = -1;
    request.choices = 3;
    request.constraint = std::make_shared<ForbidInTurn>(2, 41);
    const auto listener = std::make_shared<Listener>(3);
    engine->submit(request, listener);
    listener->wait();
    for (size_t choice = 0; choice < 3; ++choice) {
      EXPECT_EQ(listener->results[choice].reason, FinishReason::kStop);
      ASSERT_EQ(listener->answers[choice].size(), 41u);
      for (size_t i = 0; i < 41; ++i)
        EXPECT_NE(listener->answers[choice][i] % 2, static_cast<int32_t>(i % 2));
    }
    said.push_back(listener->answers);
    EXPECT_EQ(said.back(), said.front()) << drafts;
  }
}

TEST_P(EngineTest, TheNextTurnComputesItsOwnTokensOnly) {
  const auto engine = make();
  const auto ask = [&](const std::vector<int32_t>& prompt, const std::string& salt) {
    Request request;
    request.prompt = prompt;
    request.sampling.temperature = 0;
    request.max_tokens = 12;
    request.cache_salt = salt;
    auto listener = std::make_shared<Listener>();
    engine->submit(request, listener);
    listener->wait();
    EXPECT_EQ(listener->start.cached_tokens, listener->result().cached_tokens);
    return listener;
  };
  std::vector<int32_t> text = random_tokens(100, 1);
  const auto first = ask(text, "");
  EXPECT_EQ(first->result().cached_tokens, 0);
  EXPECT_EQ(first->result().miss_position, 0);
  const auto again = ask(text, "");
  EXPECT_GE(again->result().cached_tokens, 92);
  EXPECT_EQ(again->result().miss_position, 100);
  EXPECT_EQ(again->answer(), first->answer());
  text.insert(text.end(), first->answer().begin(), first->answer().end());
  const std::vector<int32_t> question = random_tokens(20, 2);
  text.insert(text.end(), question.begin(), question.end());
  EXPECT_EQ(ask(text, "")->result().cached_tokens, 100 + 11);
  EXPECT_EQ(ask(text, "somebody else")->result().cached_tokens, 0);
}

TEST_P(EngineTest, ABeginningThatManyShareIsReadOnce) {
  Gate gate;
  EngineOptions options;
  options.context = 512;
  options.before_step = [&] { gate.wait(); };
  const auto engine = make(options);
  std::vector<std::shared_ptr<Listener>> listeners;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Request request = any_request(3);
    request.prompt = random_tokens(300, 1);
    request.checkpoints = {300};
    const std::vector<int32_t> own = random_tokens(20, 50 + seed);
    request.prompt.insert(request.prompt.end(), own.begin(), own.end());
    listeners.push_back(std::make_shared<Listener>());
    engine->submit(request, listeners.back());
  }
  gate.let_go();
  int64_t cached = 0;
  for (const auto& listener : listeners) {
    listener->wait();
    cached += listener->result().cached_tokens;
  }
  EXPECT_EQ(cached, 5 * 300);
}

TEST_P(EngineTest, HigherPriorityDisplacesAndTheOtherGoesOnWhereItWas) {
  Request low = any_request(3), high = any_request(6);
  low.max_tokens = 300;
  high.priority = 1;
  const std::vector<int32_t> want_low = alone(low), want_high = alone(high);
  Gate gate;
  EngineOptions options;
  options.context = 512;
  options.max_running = 1;
  options.before_step = [&] { gate.wait(); };
  const auto engine = make(options);
  const auto first = std::make_shared<Listener>(), second = std::make_shared<Listener>();
  engine->submit(low, first);
  engine->submit(high, second);
  gate.let_go();
  second->wait();
  first->wait();
  EXPECT_EQ(first->answer(), want_low);
  EXPECT_EQ(second->answer(), want_high);
  EXPECT_LE(first->result().preemptions, 1);
  EXPECT_EQ(second->result().preemptions, 0);
}

INSTANTIATE_TEST_SUITE_P(Families, EngineTest,
                         testing::Values("q3n_tiny", "q3_dense", "q35_moe", "q3n_spec"));

}  // namespace
}  // namespace headgate
