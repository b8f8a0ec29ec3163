// Tests of the engine's other ends: cancelled, failed, refused, scored and embedded requests leave
// nothing behind and disturb nobody.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "tests/golden/engine_fixture.h"

namespace headgate {
namespace {

class EngineEnds : public EngineFixture {};

TEST_P(EngineEnds, CancelledRequestsLeaveNothing) {
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

TEST_P(EngineEnds, AStepNobodyWaitsForIsBrokenOff) {
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

TEST_P(EngineEnds, PromptsAreScoredAsASessionScoresThem) {
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

TEST_P(EngineEnds, EmbeddingsArePooledHiddenStates) {
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

TEST_P(EngineEnds, AnErrorInAStepEndsItsRequestsOnly) {
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

TEST_P(EngineEnds, LogitsThatAreNoNumbersEndTheirRequestOnly) {
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

TEST_P(EngineEnds, EndsAreSaid) {
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

TEST_P(EngineEnds, WhatCannotBeDoneIsRefusedAtOnce) {
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

INSTANTIATE_TEST_SUITE_P(Families, EngineEnds,
                         testing::Values("q3n_tiny", "q3_dense", "q35_moe", "q3n_spec"));

}  // namespace
}  // namespace headgate
