// Requests whose contexts YaRN stretches, beside others: the answers of models that do so always,
// or never.
#include "tests/golden/engine_fixture.h"

namespace headgate {
namespace {

constexpr int64_t kNative = 64, kStretched = 256;

class StretchedEngine : public EngineFixture {
 protected:
  void SetUp() override {
    EngineFixture::SetUp();  // model_: the file's own YaRN, for all
    LoadOptions load;
    load.yarn_factor = 4;
    both_ = Model::load(*checkpoint_, *backend_, load);
  }

  std::unique_ptr<Engine> engine() const {
    return std::make_unique<Engine>(both_, text_tokens(), EngineOptions{.drafts = -1});
  }
  static std::vector<int32_t> answer_of(Session&& session, const Request& request) {
    GenerationRequest generation;
    generation.prompt = request.prompt;
    generation.sampling = request.sampling;
    generation.max_tokens = request.max_tokens;
    return session.generate(generation).tokens;
  }

  std::shared_ptr<const Model> both_;
};

TEST_P(StretchedEngine, AnswersAsModelsThatAlwaysOrNeverStretch) {
  const auto running = engine();
  EXPECT_EQ(running->context(), kStretched);
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Listener>> listeners;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Request request = any_request(seed, 30, 20);
    if (seed % 2 == 1) {
      const std::vector<int32_t> more = random_tokens(60 + static_cast<int64_t>(seed) * 6, seed);
      request.prompt.insert(request.prompt.end(), more.begin(), more.end());
    }
    requests.push_back(request);
    listeners.push_back(std::make_shared<Listener>());
    (void)running->submit(std::move(request), listeners.back());
  }
  for (const auto& listener : listeners) listener->wait();  // the engine is idle from here on
  for (size_t i = 0; i < requests.size(); ++i) {
    const bool is_long = i % 2 == 1;
    const SessionOptions options{.context = kStretched};
    // A session on the model of both kinds chooses as the engine does.
    EXPECT_EQ(listeners[i]->answer(),
              answer_of(Session(both_, text_tokens(), options), requests[i]))
        << i;
    if (is_long) {
      EXPECT_EQ(listeners[i]->answer(),
                answer_of(Session(model_, text_tokens(), options), requests[i]))
          << i;
    }
  }
}

TEST_P(StretchedEngine, KeepsPrefixesOfBothKindsApart) {
  const auto running = engine();
  const auto ask = [&](int64_t tokens) {
    auto listener = std::make_shared<Listener>();
    Request request;
    request.prompt = random_tokens(tokens, 5);
    request.sampling.temperature = 0;
    request.max_tokens = 4;
    (void)running->submit(request, listener);
    listener->wait();
    return listener->result().cached_tokens;
  };
  EXPECT_EQ(ask(50), 0);
  EXPECT_GT(ask(54), 40);
  EXPECT_EQ(ask(100), 0);  // the same beginning, stretched
  EXPECT_GT(ask(120), 90);
}

TEST_P(StretchedEngine, HoldsEachKindToItsContext) {
  const auto running = engine();
  Request request = any_request(3, 10);
  request.max_tokens = -1;
  auto listener = std::make_shared<Listener>();
  (void)running->submit(request, listener);
  listener->wait();
  EXPECT_EQ(listener->result().reason, FinishReason::kContext);
  EXPECT_EQ(listener->result().prompt_tokens + listener->result().generated_tokens, kNative);

  request.stretched = true;
  listener = std::make_shared<Listener>();
  (void)running->submit(request, listener);
  listener->wait();
  EXPECT_EQ(listener->result().prompt_tokens + listener->result().generated_tokens, kStretched);

  request.prompt = random_tokens(kNative + 1, 1);
  request.stretched = false;
  EXPECT_THROW((void)running->submit(request, std::make_shared<Listener>()), Error);
  request.prompt = random_tokens(kStretched, 1);
  request.stretched.reset();
  EXPECT_THROW((void)running->submit(request, std::make_shared<Listener>()), Error);
  request.prompt.resize(5);
  request.stretched = true;
  EXPECT_THROW((void)make()->submit(request, std::make_shared<Listener>()), Error);
}

TEST_P(StretchedEngine, ASessionThatGrowsTooLongIsReadAgain) {
  Session session(both_, text_tokens(), {.drafts = -1});
  Session always(model_, text_tokens(), {.context = kStretched});
  GenerationRequest request;
  request.prompt = random_tokens(40, 8);
  request.sampling.temperature = 0;
  request.max_tokens = 10;
  (void)session.generate(request);
  const std::vector<int32_t> more = random_tokens(60, 9);
  request.prompt.insert(request.prompt.end(), more.begin(), more.end());
  const GenerationResult grown = session.generate(request);
  EXPECT_EQ(grown.reused_tokens, 0);
  EXPECT_EQ(grown.tokens, always.generate(request).tokens);
  request.prompt.insert(request.prompt.end(), grown.tokens.begin(), grown.tokens.end());
  EXPECT_GT(session.generate(request).reused_tokens, 90);
}

INSTANTIATE_TEST_SUITE_P(Cases, StretchedEngine, testing::Values("q3n_yarn"));

}  // namespace
}  // namespace headgate
