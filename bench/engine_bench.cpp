// Streams through the engine: tokens per second and gaps between tokens for several at once, and
// what a long prompt does to streams that run.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "formats/checkpoint.h"
#include "model/prefill_chunk.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Notes when every token came.
class Stopwatch : public RequestSink {
 public:
  bool tokens(int32_t, std::span<const SampledToken> tokens) override {
    for (size_t i = 0; i < tokens.size(); ++i) times.push_back(Clock::now());
    return !stop.load();
  }
  void finished(int32_t, const RequestResult& result) override {
    outcome = result;
    done_.set_value();
  }
  void wait() { done_.get_future().wait(); }

  Clock::time_point begun = Clock::now();
  std::vector<Clock::time_point> times;
  std::vector<size_t> begins;  // times of first tokens that follow another answer
  std::atomic<bool> stop{false};
  RequestResult outcome;

 private:
  std::promise<void> done_;
};

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(values.size())))];
}

// Between tokens that came in [from, to].
std::vector<double> gaps(const Stopwatch& watch, Clock::time_point from, Clock::time_point to) {
  std::vector<double> out;
  for (size_t i = 1; i < watch.times.size(); ++i) {
    if (std::binary_search(watch.begins.begin(), watch.begins.end(), i)) continue;
    if (watch.times[i] >= from && watch.times[i - 1] <= to)
      out.push_back(seconds_between(watch.times[i - 1], watch.times[i]));
  }
  return out;
}

float temperature = 0.7f;

Request random_request(const Model& model, int64_t prompt, int64_t tokens, uint64_t seed) {
  Request request;
  request.sampling.temperature = temperature;
  request.sampling.top_k = 40;
  const auto vocabulary = static_cast<uint64_t>(model.config().vocabulary);
  for (int64_t i = 0; i < prompt; ++i)
    request.prompt.push_back(
        static_cast<int32_t>(random_bits(seed, 0, static_cast<uint64_t>(i)) % vocabulary));
  request.max_tokens = tokens;
  request.sampling.seed = seed;
  return request;
}

void append(std::vector<double>& all, const std::vector<double>& some) {
  all.insert(all.end(), some.begin(), some.end());
}

void bench_streams(Engine& engine, int64_t streams, int64_t prompt, int64_t tokens) {
  std::vector<std::shared_ptr<Stopwatch>> watches;
  const auto begun = Clock::now();
  for (int64_t i = 0; i < streams; ++i) {
    watches.push_back(std::make_shared<Stopwatch>());
    engine.submit(random_request(engine.model(), prompt, tokens,
                                 static_cast<uint64_t>(1 + i + 1000 * streams)),
                  watches.back());
  }
  std::vector<double> first, between;
  Clock::time_point all_began = begun, end = begun;
  for (const auto& watch : watches) {
    watch->wait();
    first.push_back(seconds_between(watch->begun, watch->times.front()));
    all_began = std::max(all_began, watch->times.front());
    end = std::max(end, watch->times.back());
  }
  int64_t generated = 0;
  double decoded = 0;
  for (const auto& watch : watches) {
    append(between, gaps(*watch, all_began, end));
    generated += static_cast<int64_t>(watch->times.size());
    decoded += static_cast<double>(
        std::count_if(watch->times.begin(), watch->times.end(),
                      [&](Clock::time_point time) { return time > all_began; }));
  }
  fmt::print("{:>7} {:>11.1f} {:>11.1f} {:>10.1f} {:>10.1f} {:>9.2f} {:>9.2f}\n", streams,
             static_cast<double>(generated) / seconds_between(begun, end),
             decoded / seconds_between(all_began, end), percentile(first, 0.5) * 1e3,
             percentile(first, 0.99) * 1e3, percentile(between, 0.5) * 1e3,
             percentile(between, 0.99) * 1e3);
  std::fflush(stdout);
}

// One stream without end: answers of so many tokens one after the other, so that its own context
// stays short.
class Stream : public Stopwatch, public std::enable_shared_from_this<Stream> {
 public:
  static constexpr int64_t kTokens = 2000;

  Stream(Engine& engine, uint64_t seed) : engine_(engine), seed_(seed) {}
  void begin() {
    begins.push_back(times.size());
    engine_.submit(random_request(engine_.model(), 32, kTokens, seed_++), shared_from_this());
  }
  void finished(int32_t choice, const RequestResult& result) override {
    if (stop.load()) return Stopwatch::finished(choice, result);
    begin();
  }

 private:
  Engine& engine_;
  uint64_t seed_;
};

// Streams run; then a long prompt comes, and a short one while it loads.
void bench_long_prompt(Engine& engine, int64_t streams, int64_t length) {
  std::vector<std::shared_ptr<Stream>> watches;
  for (int64_t i = 0; i < streams; ++i) {
    watches.push_back(std::make_shared<Stream>(engine, static_cast<uint64_t>(77 + 1000 * i)));
    watches.back()->begin();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  const auto arrived = Clock::now();
  const auto large = std::make_shared<Stopwatch>();
  engine.submit(random_request(engine.model(), length, 1, 5), large);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const auto small = std::make_shared<Stopwatch>();
  engine.submit(random_request(engine.model(), 64, 1, 6), small);
  small->wait();
  large->wait();
  const auto loaded = large->times.front();
  for (const auto& watch : watches) watch->stop = true;
  std::vector<double> quiet, busy;
  for (const auto& watch : watches) {
    watch->wait();
    append(quiet, gaps(*watch, arrived - std::chrono::milliseconds(1000), arrived));
    append(busy, gaps(*watch, arrived, loaded));
  }
  const double load_seconds = seconds_between(arrived, loaded);
  fmt::print("{} streams, prompt of {}: loaded in {:.2f} s", streams, length, load_seconds);
  if (streams > 0) {
    const auto mean = [](const std::vector<double>& all) {
      return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
    };
    fmt::print(
        "; gaps p50 {:.2f} ms p99 {:.2f} before, p50 {:.2f} p99 {:.2f} ({:.2f}x) p99.9 {:.1f} "
        "longest {:.1f} meanwhile, streams at {:.0f} % of their speed",
        percentile(quiet, 0.5) * 1e3, percentile(quiet, 0.99) * 1e3, percentile(busy, 0.5) * 1e3,
        percentile(busy, 0.99) * 1e3, percentile(busy, 0.99) / percentile(quiet, 0.99),
        percentile(busy, 0.999) * 1e3, percentile(busy, 1) * 1e3, 100 * mean(quiet) / mean(busy));
  } else {
    const auto chunk = static_cast<double>(default_prefill_chunk(engine.model().config()));
    fmt::print(" ({:.0f} ms for {} tokens)",
               load_seconds * chunk / static_cast<double>(length) * 1e3, chunk);
  }
  fmt::print("; a short prompt's first token after {:.0f} ms\n",
             seconds_between(small->begun, small->times.front()) * 1e3);
}

// Counts tokens until it is told that its request has ended.
class Counter : public RequestSink {
 public:
  Counter(std::atomic<int64_t>& open, int32_t choices) : open_(open) { open_ += choices; }
  bool tokens(int32_t, std::span<const SampledToken>) override { return true; }
  void finished(int32_t, const RequestResult&) override { --open_; }

 private:
  std::atomic<int64_t>& open_;
};

// `count` requests, each cancelled at a random moment: while it waits, reads its prompt, or
// streams. False when the engine holds anything afterwards.
bool bench_aborts(Engine& engine, int64_t count) {
  constexpr uint64_t kMostOpen = 96;
  std::atomic<int64_t> open{0};
  std::vector<RequestId> live;
  const auto begun = Clock::now();
  uint64_t draws = 0;
  const auto random = [&](uint64_t below) { return random_bits(11, 3, draws++) % below; };
  for (int64_t i = 0; i < count; ++i) {
    Request request = random_request(engine.model(), 1 + static_cast<int64_t>(random(200)), -1,
                                     static_cast<uint64_t>(i));
    request.choices = random(8) == 0 ? 3 : 1;
    const auto counter = std::make_shared<Counter>(open, request.choices);
    live.push_back(engine.submit(std::move(request), counter));
    while (static_cast<int64_t>(live.size()) > static_cast<int64_t>(random(kMostOpen))) {
      const auto at = live.begin() + static_cast<ptrdiff_t>(random(live.size()));
      engine.cancel(*at);
      live.erase(at);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random(300)));
  }
  for (const RequestId id : live) engine.cancel(id);
  (void)engine.drain(Clock::now() + std::chrono::seconds(60));
  const EngineStats stats = engine.stats();
  fmt::print(
      "{} requests cancelled in {:.1f} s; {} tokens came; left: {} running, {} waiting, {} bytes "
      "of states\n",
      count, seconds_between(begun, Clock::now()), stats.generated_tokens, stats.running,
      stats.waiting, stats.state_bytes);
  return stats.running == 0 && stats.waiting == 0 && stats.state_bytes == 0;
}

struct BenchOptions {
  std::string model;
  int64_t drafts = 0;
  int64_t long_prompt = 0;  // 0: none
  std::vector<int64_t> streams{1, 4, 16, 64};
  int64_t prompt = 64, tokens = 128, rounds = 1;
  int64_t aborts = 0;  // > 0: so many cancelled requests instead of anything else
};

int run(const BenchOptions& bench) {
  const Checkpoint checkpoint = open_checkpoint(bench.model);
  const std::unique_ptr<Backend> backend = open_backend({});
  const std::shared_ptr<const Model> model = Model::load(checkpoint, *backend);
  EngineOptions options;
  options.context = std::max<int64_t>(8192, bench.long_prompt + 256);
  options.kv_dtype = default_kv_dtype(model->config());
  options.state_budget_bytes = int64_t{4} << 30;
  options.drafts = bench.drafts;
  options.prefix_cache = false;
  options.max_waiting_requests = 1 << 20;  // cancelled ones wait for the next step
  Engine engine(model, model->config().vocabulary, options);
  fmt::print("{}, {}, drafts {}, temperature {}, prompts of {}, {} tokens each\n", bench.model,
             backend->description(), bench.drafts, temperature, bench.prompt, bench.tokens);
  if (bench.aborts > 0) return bench_aborts(engine, bench.aborts) ? 0 : 1;
  fmt::print("{:>7} {:>11} {:>11} {:>10} {:>10} {:>9} {:>9}\n", "streams", "tok/s", "decode",
             "first p50", "first p99", "gap p50", "gap p99");
  for (int64_t round = 0; round < bench.rounds; ++round) {
    for (const int64_t streams : bench.streams)
      bench_streams(engine, streams, bench.prompt, bench.tokens);
  }
  // The second time memory for its pages is there.
  for (const int64_t streams : {4, 4, 0, 0}) {
    if (bench.long_prompt > 0) bench_long_prompt(engine, streams, bench.long_prompt);
  }
  return 0;
}

std::vector<int64_t> numbers(const char* list) {
  std::vector<int64_t> out;
  for (char* at = const_cast<char*>(list); *at != 0; at += *at == ',' ? 1 : 0)
    out.push_back(std::strtoll(at, &at, 10));
  return out;
}

// False for an option that is not known.
bool set_option(BenchOptions& bench, const std::string& name, const char* value) {
  if (name == "--drafts") {
    bench.drafts = std::atoll(value);
  } else if (name == "--long-prompt") {
    bench.long_prompt = std::atoll(value);
  } else if (name == "--temperature") {
    temperature = std::strtof(value, nullptr);
  } else if (name == "--streams") {
    bench.streams = numbers(value);
  } else if (name == "--prompt") {
    bench.prompt = std::atoll(value);
  } else if (name == "--tokens") {
    bench.tokens = std::atoll(value);
  } else if (name == "--rounds") {
    bench.rounds = std::atoll(value);
  } else if (name == "--aborts") {
    bench.aborts = std::atoll(value);
  } else {
    return false;
  }
  return true;
}

constexpr const char* kUsage =
    "usage: headgate_engine_bench MODEL [--drafts N] [--long-prompt TOKENS] [--temperature T]\n"
    "           [--streams 1,4,16,64] [--prompt TOKENS] [--tokens N] [--rounds N] [--aborts N]\n";

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  headgate::BenchOptions bench;
  bool understood = argc >= 2 && argc % 2 == 0;
  if (understood) bench.model = argv[1];
  for (int i = 2; understood && i + 1 < argc; i += 2)
    understood = headgate::set_option(bench, argv[i], argv[i + 1]);
  if (!understood) {
    std::fputs(headgate::kUsage, stderr);
    return 2;
  }
  try {
    return headgate::run(bench);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "headgate_engine_bench: %s\n", e.what());
    return 1;
  }
}
