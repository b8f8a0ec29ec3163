// Tests of the engine: many requests at once give what each gives alone, ends are clean, nothing
// leaks.
#include "engine/engine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <future>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "engine/session.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

constexpr int64_t kTextTokens = 384;

// Keeps what it hears; done() waits for the end.
class Listener : public RequestSink {
 public:
  explicit Listener(int32_t choices = 1)
      : answers(static_cast<size_t>(choices)),
        results(static_cast<size_t>(choices)),
        open_(choices) {}

  void started(const RequestStart& s) override { start = s; }
  void progress(int64_t done, int64_t total) override {
    EXPECT_GT(done, read);
    EXPECT_LE(done, total);
    read = done;
  }
  void scored(int64_t first, std::span<const SampledToken> tokens) override {
    EXPECT_EQ(first, static_cast<int64_t>(scores.size()) + 1);
    scores.insert(scores.end(), tokens.begin(), tokens.end());
  }
  bool tokens(int32_t choice, std::span<const SampledToken> tokens) override {
    std::vector<int32_t>& answer = answers[static_cast<size_t>(choice)];
    for (const SampledToken& token : tokens) answer.push_back(token.token);
    return stop_after < 0 || static_cast<int64_t>(answer.size()) < stop_after;
  }
  void finished(int32_t choice, const RequestResult& result) override {
    results[static_cast<size_t>(choice)] = result;
    if (--open_ == 0) done_.set_value();
  }

  void wait() { ASSERT_EQ(future_.wait_for(std::chrono::seconds(120)), std::future_status::ready); }
  const RequestResult& result() const { return results.front(); }
  const std::vector<int32_t>& answer() const { return answers.front(); }

  RequestStart start;
  int64_t read = 0, stop_after = -1;
  std::vector<SampledToken> scores;
  std::vector<std::vector<int32_t>> answers;
  std::vector<RequestResult> results;

 private:
  int32_t open_;
  std::promise<void> done_;
  std::future<void> future_ = done_.get_future();
};

// Holds the engine back until the test has queued all it wants.
struct Gate {
  std::atomic<bool> open{false};
  void wait() const { open.wait(false); }
  void let_go() {
    open = true;
    open.notify_all();
  }
};

class EngineTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    checkpoint_ = std::make_unique<Checkpoint>(
        open_checkpoint(std::string(HEADGATE_SOURCE_DIR "/tests/golden/cases/") + GetParam()));
    backend_ = open_backend({.threads = 2});
    model_ = Model::load(*checkpoint_, *backend_);
  }

  int64_t text_tokens() const { return std::min(kTextTokens, model_->config().vocabulary); }

  std::unique_ptr<Engine> make(const EngineOptions& options = {.context = 512}) const {
    return std::make_unique<Engine>(model_, text_tokens(), options);
  }

  std::vector<int32_t> random_tokens(int64_t count, uint64_t seed) const {
    const auto vocabulary =
        static_cast<uint64_t>(std::min<int64_t>(model_->config().vocabulary, 300));
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) {
      tokens.push_back(
          static_cast<int32_t>(random_bits(seed, 0, static_cast<uint64_t>(i)) % vocabulary));
    }
    return tokens;
  }

  // A request that is different in every way for every seed.
  Request any_request(uint64_t seed, int64_t most_prompt = 120, int64_t most_tokens = 24) const {
    const auto draw = [&](uint64_t index, int64_t below) {
      return static_cast<int64_t>(random_bits(seed, 7, index) % static_cast<uint64_t>(below));
    };
    Request request;
    request.prompt = random_tokens(1 + draw(0, most_prompt), seed);
    request.max_tokens = 1 + draw(1, most_tokens);
    request.sampling.seed = seed;
    request.sampling.temperature = seed % 3 == 0 ? 0.0f : 0.8f;
    request.sampling.top_p = seed % 2 == 0 ? 0.9f : 1.0f;
    request.sampling.repetition_penalty = seed % 5 == 0 ? 1.1f : 1.0f;
    return request;
  }

  // What a session says alone.
  std::vector<int32_t> alone(const Request& request, int32_t choice = 0) const {
    Session session(model_, text_tokens(), {.context = 1024});
    GenerationRequest generation;
    generation.prompt = request.prompt;
    generation.sampling = request.sampling;
    generation.sampling.seed += static_cast<uint64_t>(choice);
    generation.max_tokens = request.max_tokens;
    generation.stop_tokens = request.stop_tokens;
    return session.generate(generation).tokens;
  }

  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Model> model_;
};

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

void wait_until_empty(Engine& engine) {
  EXPECT_TRUE(engine.drain(std::chrono::steady_clock::now() + std::chrono::seconds(60)));
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
  EXPECT_EQ(stats.waiting_tokens, 0);
}

TEST_P(EngineTest, CancelledRequestsLeaveNothing) {
  const uint64_t requests = GetParam() == std::string("q3n_spec") ? 10000 : 300;
  EngineOptions options;
  options.context = 512;
  options.state_budget_bytes = int64_t{8} << 20;
  options.max_waiting_requests = 20000;
  options.prefix_cache = requests < 10000;
  const auto engine = make(options);
  std::vector<std::shared_ptr<Listener>> listeners;
  std::vector<RequestId> ids;
  for (uint64_t seed = 1; seed <= requests; ++seed) {
    Request request = any_request(seed, 60, 200);
    request.choices = static_cast<int32_t>(1 + seed % 3);
    listeners.push_back(std::make_shared<Listener>(request.choices));
    ids.push_back(engine->submit(request, listeners.back()));
    for (uint64_t i = 0; i < 3 && seed > 40; ++i)
      engine->cancel(ids[random_bits(i, 2, seed) % (ids.size() - 20)]);
  }
  for (const RequestId id : ids) engine->cancel(id);
  for (const auto& listener : listeners) listener->wait();
  engine->forget_prefixes();
  wait_until_empty(*engine);
  EXPECT_EQ(engine->stats().state_bytes, 0);
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

TEST_P(EngineTest, AStepNobodyWaitsForIsBrokenOff) {
  Engine* engine = nullptr;
  std::atomic<RequestId> id{0};
  EngineOptions options;
  options.context = 512;
  options.before_step = [&] {
    id.wait(0);
    engine->cancel(id);
  };
  const auto owner = make(options);
  engine = owner.get();
  Request request = any_request(3);
  request.prompt = random_tokens(400, 1);
  const auto listener = std::make_shared<Listener>();
  id = engine->submit(request, listener);
  id.notify_all();
  listener->wait();
  EXPECT_EQ(listener->result().reason, FinishReason::kCancelled);
  EXPECT_EQ(listener->read, 0);
  wait_until_empty(*engine);
  EXPECT_EQ(engine->stats().steps, 0);
  EXPECT_EQ(engine->stats().state_bytes, 0);
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

TEST_P(EngineTest, PromptsAreScoredAsASessionScoresThem) {
  Request request;
  request.prompt = random_tokens(300, 9);
  request.max_tokens = 0;
  request.prompt_logprobs = 3;
  const auto listener = std::make_shared<Listener>();
  {
    const auto engine = make();
    engine->submit(request, listener);
    listener->wait();
    EXPECT_EQ(listener->result().reason, FinishReason::kLength);
  }
  ASSERT_EQ(listener->scores.size(), 299u);
  Session session(model_, text_tokens(), {.context = 512});
  session.score(request.prompt, 300, [&](int64_t, View logits) {
    for (int64_t t = 1; t < 300; ++t) {
      double sum = 0;
      for (int64_t id = 0; id < text_tokens(); ++id)
        sum += std::exp(static_cast<double>(logits.row(t - 1)[id]));
      const int32_t token = request.prompt[static_cast<size_t>(t)];
      const SampledToken& score = listener->scores[static_cast<size_t>(t - 1)];
      EXPECT_EQ(score.token, token);
      EXPECT_NEAR(score.logprob, logits.row(t - 1)[token] - std::log(sum), 1e-4);
      ASSERT_EQ(score.top_logprobs.size(), 3u);
      EXPECT_GE(score.top_logprobs[0].logprob, score.logprob);
    }
  });
}

TEST_P(EngineTest, EmbeddingsArePooledHiddenStates) {
  StatePool pool(model_->state_shape(DType::kF32), int64_t{1} << 24);
  SequenceState state = std::move(*pool.create());
  const std::vector<int32_t> prompt = random_tokens(40, 3);
  ASSERT_TRUE(state.reserve(40));
  StepResult result;
  result.keep_hidden = true;
  const BatchItem item{&state, prompt, LogitRows::kNone};
  model_->forward({&item, 1}, result);
  const auto size = static_cast<size_t>(result.hidden_size);
  EngineOptions options;
  options.context = 512;
  options.prefill_chunk = 16;
  const auto engine = make(options);
  for (const Pooling pooling : {Pooling::kLast, Pooling::kMean}) {
    Request request;
    request.prompt = prompt;
    request.max_tokens = 0;
    request.pooling = pooling;
    const auto listener = std::make_shared<Listener>();
    engine->submit(request, listener);
    listener->wait();
    const std::vector<float>& got = listener->result().embedding;
    ASSERT_EQ(got.size(), size);
    for (size_t i = 0; i < size; ++i) {
      double mean = 0;
      for (size_t t = 0; t < 40; ++t) mean += static_cast<double>(result.hidden[t * size + i]) / 40;
      const double want =
          pooling == Pooling::kMean ? mean : static_cast<double>(result.hidden[39 * size + i]);
      EXPECT_NEAR(got[i], want, 1e-5 + 1e-5 * std::abs(want));
    }
  }
}

TEST_P(EngineTest, AnErrorInAStepEndsItsRequestsOnly) {
  std::atomic<int> bad_steps{0};
  EngineOptions options;
  options.context = 512;
  options.before_step = [&] {
    if (bad_steps.load() > 0 && --bad_steps == 0) fail(ErrorCode::kIo, "device: lost");
  };
  const auto engine = make(options);
  const auto failing = std::make_shared<Listener>(), fine = std::make_shared<Listener>();
  bad_steps = 3;
  engine->submit(any_request(3, 10, 200), failing);
  failing->wait();
  if (failing->result().reason == FinishReason::kFailed) {
    EXPECT_EQ(failing->result().error, ErrorCode::kIo);
    EXPECT_EQ(failing->result().message, "device: lost");
  }
  engine->submit(any_request(3, 10, 20), fine);
  fine->wait();
  EXPECT_EQ(fine->result().reason, FinishReason::kLength);
  engine->forget_prefixes();
  wait_until_empty(*engine);
  EXPECT_EQ(engine->stats().state_bytes, 0);
}

// A copy of the case's folder in which the embedding of one token is not a number.
std::string broken_copy(const std::string& folder, int64_t token, int64_t hidden) {
  const std::string copy = testing::TempDir() + "headgate-engine-" + std::to_string(::getpid());
  std::filesystem::remove_all(copy);
  std::filesystem::copy(folder, copy, std::filesystem::copy_options::recursive);
  const std::string file = copy + "/model.safetensors";
  std::string bytes = read_text_file(file);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const size_t key = bytes.find("embed_tokens.weight");
  const size_t offsets = bytes.find("data_offsets", key);
  const size_t number = bytes.find_first_of("0123456789", offsets);
  HEADGATE_CHECK(key < offsets && number < header);
  const uint16_t nan = 0x7fc0;  // bfloat16
  const size_t at = 8 + header + std::strtoull(bytes.c_str() + number, nullptr, 10) +
                    static_cast<size_t>(token * hidden) * sizeof(nan);
  std::memcpy(bytes.data() + at, &nan, sizeof(nan));
  write_text_file(file, bytes);
  return copy;
}

TEST_P(EngineTest, LogitsThatAreNoNumbersEndTheirRequestOnly) {
  if (GetParam() != std::string("q3n_tiny")) GTEST_SKIP() << "one family will do";
  constexpr int32_t kBroken = 290;
  Request good = any_request(4);
  std::replace(good.prompt.begin(), good.prompt.end(), kBroken, 1);
  good.sampling.logit_bias = {{kBroken, -1e9f}};
  const std::vector<int32_t> want = alone(good);
  const std::string folder =
      broken_copy(std::string(HEADGATE_SOURCE_DIR "/tests/golden/cases/") + GetParam(), kBroken,
                  model_->config().hidden_size);
  const Checkpoint checkpoint = open_checkpoint(folder);
  const std::shared_ptr<const Model> broken = Model::load(checkpoint, *backend_);
  EngineOptions options;
  options.context = 512;
  Engine engine(broken, text_tokens(), options);
  std::vector<std::shared_ptr<Listener>> listeners;
  for (int i = 0; i < 4; ++i) {
    Request request = good;
    if (i == 2) request.prompt.push_back(kBroken);
    listeners.push_back(std::make_shared<Listener>());
    engine.submit(request, listeners.back());
  }
  for (size_t i = 0; i < 4; ++i) {
    listeners[i]->wait();
    const RequestResult& result = listeners[i]->result();
    EXPECT_EQ(result.reason, i == 2 ? FinishReason::kFailed : FinishReason::kLength);
    if (i != 2) {
      EXPECT_EQ(listeners[i]->answer(), want);
    } else {
      EXPECT_EQ(result.error, ErrorCode::kInternal);
      EXPECT_TRUE(listeners[i]->answer().empty());
    }
  }
  std::filesystem::remove_all(folder);
}

TEST_P(EngineTest, EndsAreSaid) {
  const auto engine = make();
  const auto run = [&](const Request& request, int64_t stop_after = -1) {
    auto listener = std::make_shared<Listener>();
    listener->stop_after = stop_after;
    engine->submit(request, listener);
    listener->wait();
    return listener;
  };
  Request request = any_request(3);
  request.prompt = random_tokens(500, 1);
  request.max_tokens = -1;
  const auto full = run(request);
  EXPECT_EQ(full->result().reason, FinishReason::kContext);
  ASSERT_EQ(full->answer().size(), 12u);
  request.max_tokens = 3;
  EXPECT_EQ(run(request)->result().reason, FinishReason::kLength);
  request.stop_tokens = {full->answer()[2]};
  const auto stopped = run(request);
  EXPECT_EQ(stopped->result().reason, FinishReason::kStop);
  EXPECT_EQ(stopped->result().stop_token, full->answer()[2]);
  request.stop_tokens.clear();
  request.max_tokens = 9;
  EXPECT_EQ(run(request, 4)->answer().size(), 4u);
  request.deadline = std::chrono::steady_clock::now();
  EXPECT_EQ(run(request)->result().reason, FinishReason::kDeadline);
}

TEST_P(EngineTest, WhatCannotBeDoneIsRefusedAtOnce) {
  EngineOptions options;
  options.context = 512;
  options.max_waiting_requests = 4;
  options.max_running = 1;
  const auto engine = make(options);
  const auto listener = std::make_shared<Listener>();
  const auto refused = [&](const Request& request) {
    try {
      engine->submit(request, listener);
    } catch (const Error& e) {
      return e.code() == ErrorCode::kInvalidArgument;
    }
    return false;
  };
  Request request;
  EXPECT_TRUE(refused(request));
  request.prompt = random_tokens(512, 1);
  EXPECT_TRUE(refused(request));
  request.prompt = {1, 2, -1};
  EXPECT_TRUE(refused(request));
  request.prompt = {1, 2, 3};
  request.pooling = Pooling::kMean;
  EXPECT_TRUE(refused(request));
  request.pooling = Pooling::kNone;
  request.sampling.top_p = 2;
  EXPECT_TRUE(refused(request));

  // A queue that is full says when to come back.
  Request slow = any_request(3);
  slow.max_tokens = 400;
  std::vector<std::shared_ptr<Listener>> listeners;
  bool shed = false;
  for (int i = 0; i < 50 && !shed; ++i) {
    auto next = std::make_shared<Listener>();
    try {
      engine->submit(slow, next);
      listeners.push_back(next);
    } catch (const Overloaded& e) {
      shed = true;
      EXPECT_GE(e.retry_after_seconds(), 1);
      EXPECT_FALSE(e.draining());
    }
  }
  EXPECT_TRUE(shed);
  EXPECT_FALSE(engine->drain(std::chrono::steady_clock::now()));
  for (const auto& one : listeners) one->wait();
  EXPECT_EQ(listeners.back()->result().reason, FinishReason::kCancelled);
  EXPECT_THROW(engine->submit(slow, listener), Overloaded);
}

INSTANTIATE_TEST_SUITE_P(Families, EngineTest,
                         testing::Values("q3n_tiny", "q3_dense", "q35_moe", "q3n_spec"));

}  // namespace
}  // namespace headgate
