// Tests of the engine: many requests at once, from cached beginnings or not, give what each gives
// alone.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include "sampling/token_constraint.h"
#include "tests/golden/engine_fixture.h"

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

// What a choice said, with the bits of its log-probabilities.
struct Said {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  bool operator==(const Said&) const = default;
};

class Recorder : public Listener {
 public:
  bool tokens(int32_t choice, std::span<const SampledToken> tokens) override {
    for (const SampledToken& token : tokens) {
      said.tokens.push_back(token.token);
      said.logprobs.push_back(token.logprob);
      for (const TokenLogprob& other : token.top_logprobs) said.logprobs.push_back(other.logprob);
    }
    return Listener::tokens(choice, tokens);
  }
  Said said;
};

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

  std::vector<std::vector<int32_t>> conversations(5);
  uint64_t index = 0;
  const auto draw = [&](int64_t below) {
    return static_cast<int64_t>(random_bits(3, 5, index++) % static_cast<uint64_t>(below));
  };
  int64_t cached = 0;
  for (int round = 0; round < 24; ++round) {
    struct Turn {
      size_t which;
      std::shared_ptr<Recorder> warm, cold;
    };
    std::vector<Turn> turns;
    for (int i = 0; i < 3; ++i) {
      const auto which = static_cast<size_t>(draw(5));
      std::vector<int32_t>& text = conversations[which];
      const int64_t action = draw(8), size = static_cast<int64_t>(text.size());
      if (action == 0 && size > 0) text[static_cast<size_t>(draw(size))] ^= 1;
      if (action == 1 && size > 0) text.resize(static_cast<size_t>(draw(size)));
      if (action == 2) text = conversations[static_cast<size_t>(draw(5))];
      if (action != 3 || text.empty()) {  // 3: the same again
        const std::vector<int32_t> more = random_tokens(1 + draw(70), index);
        text.insert(text.end(), more.begin(), more.end());
      }
      if (text.size() > 700) text.erase(text.begin() + 20, text.end() - 100);
      Request request = any_request(index);
      request.prompt = text;
      request.sampling.top_logprobs = 8;
      request.checkpoints = {10, size, size / 2};
      request.cache_salt = which == 4 ? "other" : "";
      turns.push_back({which, std::make_shared<Recorder>(), std::make_shared<Recorder>()});
      cold.submit(request, turns.back().cold);
      const RequestId id = warm->submit(request, turns.back().warm);
      if (action == 4) warm->cancel(id);
      if (action >= 6) turns.back().warm->wait();  // else it runs beside the next
    }
    for (const Turn& turn : turns) {
      turn.warm->wait();
      turn.cold->wait();
      const RequestResult& result = turn.warm->result();
      cached += result.cached_tokens;
      EXPECT_LE(result.cached_tokens, result.miss_position);
      if (result.reason == FinishReason::kCancelled) continue;
      ASSERT_EQ(turn.warm->said, turn.cold->said) << "round " << round;
      std::vector<int32_t>& text = conversations[turn.which];
      text.insert(text.end(), turn.warm->said.tokens.begin(), turn.warm->said.tokens.end());
    }
  }
  EXPECT_GT(cached, 1000);
  warm->forget_prefixes();
  wait_until_empty(*warm);
  EXPECT_EQ(warm->stats().state_bytes, 0);
}

// Allows even and odd tokens in turn, and ends after so many.
class Turns : public TokenConstraint {
 public:
  explicit Turns(int64_t length) : length_(length) {}
  std::unique_ptr<ConstraintState> start() const override {
    return std::make_unique<State>(length_);
  }
  int64_t memory_bytes() const override { return 0; }

 private:
  struct State : ConstraintState {
    explicit State(int64_t most) : length(most) {}
    bool fill_mask(std::span<uint64_t> mask) override {
      const uint64_t even = 0x5555555555555555;
      std::fill(mask.begin(), mask.end(), is_complete() ? 0 : at % 2 == 0 ? even : ~even);
      return !is_complete();
    }
    bool accept(int32_t token) override {
      if (is_complete() || token % 2 != at % 2) return false;
      ++at;
      return true;
    }
    bool may_end() const override { return is_complete(); }
    bool is_complete() const override { return at == length; }
    int64_t accepted() const override { return at; }
    void rewind(int64_t tokens) override { at -= tokens; }
    std::unique_ptr<ConstraintState> fork() const override {
      return std::make_unique<State>(*this);
    }
    std::string explain() const override { return "nothing"; }

    int64_t length, at = 0;
  };
  int64_t length_;
};

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
    request.constraint = std::make_shared<Turns>(41);
    const auto listener = std::make_shared<Listener>(3);
    engine->submit(request, listener);
    listener->wait();
    for (size_t choice = 0; choice < 3; ++choice) {
      EXPECT_EQ(listener->results[choice].reason, FinishReason::kStop);
      ASSERT_EQ(listener->answers[choice].size(), 41u);
      for (size_t i = 0; i < 41; ++i)
        EXPECT_EQ(listener->answers[choice][i] % 2, static_cast<int32_t>(i % 2));
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
