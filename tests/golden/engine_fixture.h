// What tests of the engine share: a model of each family, listeners, and the answers of a session.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/session.h"
#include "tests/golden/case_fixture.h"

namespace headgate {

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

class EngineFixture : public CaseFixture {
 protected:
  std::unique_ptr<Engine> make(const EngineOptions& options = {.context = 512}) const {
    return std::make_unique<Engine>(model_, text_tokens(), options);
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
};

inline void wait_until_empty(Engine& engine) {
  EXPECT_TRUE(engine.drain(std::chrono::steady_clock::now() + std::chrono::seconds(60)));
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
  EXPECT_EQ(stats.waiting_tokens, 0);
}

}  // namespace headgate
