// Drafting with a set acceptance: speed beside plain decoding, in turns, for several streams, and
// what the recurrent state costs a step of any number of rows.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "formats/checkpoint.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Share of the rounds that keep the draft at each place: what drafting modules of this family reach
// on code and on prose. Behind the last place each further draft is kept as often as it was.
constexpr double kCode[] = {0.91, 0.80, 0.70, 0.60};
constexpr double kProse[] = {0.50, 0.30, 0.20, 0.10};

double kept_given_those_before(std::span<const double> shares, int64_t place) {
  const auto at =
      static_cast<size_t>(std::min<int64_t>(place, static_cast<int64_t>(shares.size()) - 1));
  return at == 0 ? shares[0] : shares[at] / shares[at - 1];
}

struct BenchOptions {
  std::string model, profile = "all", json;
  int64_t drafts = -1, pairs = 5, tokens = 96, prompt = 32, vocabulary = 32768;
  int64_t state_layers = 0;  // > 0: the state's cost alone
  int64_t rows = 0;          // of that; 0: 1 to 8
  std::vector<int64_t> streams{1, 4};
  double temperature = 0;
  double flat = 0;  // profile "flat": every draft is kept with this probability
};

class Acceptance {
 public:
  Acceptance(const BenchOptions& options, std::string profile)
      : profile_(std::move(profile)), flat_(options.flat) {}

  // Streams of a mix write code and prose in turn.
  bool keep(const Request& request, int64_t place) {
    const bool code = profile_ == "code" || (profile_ == "mix" && request.sampling.seed % 2 == 0);
    const double share =
        profile_ == "flat"
            ? flat_
            : kept_given_those_before(
                  code ? std::span<const double>(kCode) : std::span<const double>(kProse), place);
    return random_uniform(17, request.sampling.seed, draws_++) < share;
  }

 private:
  std::string profile_;
  double flat_;
  uint64_t draws_ = 0;
};

class Watch : public RequestSink {
 public:
  bool tokens(int32_t, std::span<const SampledToken> tokens) override {
    for (size_t i = 0; i < tokens.size(); ++i) times.push_back(Clock::now());
    return true;
  }
  void finished(int32_t, const RequestResult&) override { done_.set_value(); }
  void wait() { done_.get_future().wait(); }
  std::vector<Clock::time_point> times;

 private:
  std::promise<void> done_;
};

// Tokens per second of all streams from when all have begun to when the first ends.
double run_streams(Engine& engine, int64_t streams, const BenchOptions& o, uint64_t round) {
  std::vector<std::shared_ptr<Watch>> watches;
  const auto vocabulary = static_cast<uint64_t>(engine.model().config().vocabulary);
  for (int64_t i = 0; i < streams; ++i) {
    Request request;
    request.sampling.temperature = static_cast<float>(o.temperature);
    request.sampling.top_k = 40;
    request.sampling.seed = round * 64 + static_cast<uint64_t>(i);
    for (int64_t t = 0; t < o.prompt; ++t)
      request.prompt.push_back(static_cast<int32_t>(
          random_bits(request.sampling.seed, 3, static_cast<uint64_t>(t)) % vocabulary));
    request.max_tokens = o.tokens;
    watches.push_back(std::make_shared<Watch>());
    engine.submit(std::move(request), watches.back());
  }
  for (const auto& watch : watches) watch->wait();
  Clock::time_point begun = watches.front()->times.front(), end = watches.front()->times.back();
  for (const auto& watch : watches) {
    begun = std::max(begun, watch->times.front());
    end = std::min(end, watch->times.back());
  }
  int64_t count = 0;
  for (const auto& watch : watches)
    count += std::count_if(watch->times.begin(), watch->times.end(),
                           [&](Clock::time_point t) { return t > begun && t <= end; });
  return static_cast<double>(count) / seconds_between(begun, end);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Case {
  std::string profile;
  int64_t streams = 1;
  double plain = 0, drafting = 0;         // tokens per second, medians
  double ratio = 0, least = 0, most = 0;  // of the pairs
  double tokens_per_step = 0, kept = 0, drafting_share = 0;
  double plain_ms = 0, step_ms = 0, draft_ms = 0;  // of a step, and of the drafts before it
};

Case run_case(const std::shared_ptr<const Model>& model, const BenchOptions& o,
              const std::string& profile, int64_t streams) {
  Acceptance acceptance(o, profile);
  EngineOptions options;
  options.context = 4096;
  options.kv_dtype = default_kv_dtype(model->config());
  options.state_budget_bytes = int64_t{2} << 30;
  options.prefix_cache = false;
  options.drafts = 0;
  Engine plain(model, model->config().vocabulary, options);
  options.drafts = o.drafts;
  options.drafting.vocabulary = o.vocabulary;
  options.drafting.lookup = false;
  options.keep_draft = [&](const Request& request, int64_t place) {
    return acceptance.keep(request, place);
  };
  Engine drafting(model, model->config().vocabulary, options);
  (void)run_streams(plain, streams, o, 1);
  (void)run_streams(drafting, streams, o, 1);
  const EngineStats before = drafting.stats(), plain_before = plain.stats();
  std::vector<double> plains, draftings, ratios;
  for (int64_t pair = 0; pair < o.pairs; ++pair) {
    const auto round = static_cast<uint64_t>(2 + pair);
    plains.push_back(run_streams(plain, streams, o, round));
    draftings.push_back(run_streams(drafting, streams, o, round));
    ratios.push_back(draftings.back() / plains.back());
  }
  const EngineStats after = drafting.stats();
  Case out{profile, streams, median(plains), median(draftings), median(ratios)};
  out.least = *std::min_element(ratios.begin(), ratios.end());
  out.most = *std::max_element(ratios.begin(), ratios.end());
  const auto steps = static_cast<double>(after.steps - before.steps);
  out.tokens_per_step = static_cast<double>(after.generated_tokens - before.generated_tokens) /
                        steps / static_cast<double>(streams);
  const auto drafted = static_cast<double>(after.drafted_tokens - before.drafted_tokens);
  out.kept = drafted > 0
                 ? static_cast<double>(after.accepted_tokens - before.accepted_tokens) / drafted
                 : 0;
  const double drafts = after.draft_seconds - before.draft_seconds;
  out.drafting_share = drafts / (drafts + after.busy_seconds - before.busy_seconds);
  if (std::getenv("HEADGATE_BENCH_DEPTHS") != nullptr) {
    fmt::print("  {} steps, {} rounds of drafts; by place drafted", after.steps - before.steps,
               after.draft_rounds - before.draft_rounds);
    for (size_t i = 0; i < after.drafted_at.size(); ++i)
      fmt::print(" {}/{}", after.accepted_at[i] - before.accepted_at[i],
                 after.drafted_at[i] - before.drafted_at[i]);
    fmt::print("\n");
  }
  const EngineStats plain_after = plain.stats();
  out.plain_ms = 1e3 * (plain_after.busy_seconds - plain_before.busy_seconds) /
                 static_cast<double>(plain_after.steps - plain_before.steps);
  out.step_ms = 1e3 * (after.busy_seconds - before.busy_seconds) / steps;
  out.draft_ms = 1e3 * drafts / steps;
  return out;
}

int run(const BenchOptions& o) {
  const Checkpoint checkpoint = open_checkpoint(o.model);
  const std::unique_ptr<Backend> backend = open_backend({});
  const std::shared_ptr<const Model> model = Model::load(checkpoint, *backend);
  if (!model->has_mtp()) {
    std::fprintf(stderr, "%s: no drafting module\n", o.model.c_str());
    return 1;
  }
  fmt::print("{}, {}, {} layers, drafts {}, draft vocabulary {}\n", o.model, backend->description(),
             model->config().layers, o.drafts < 0 ? std::string("auto") : std::to_string(o.drafts),
             o.vocabulary);
  fmt::print("{:>8} {:>7} {:>10} {:>10} {:>7} {:>15} {:>11} {:>6} {:>9}\n", "profile", "streams",
             "plain", "drafts", "ratio", "of the pairs", "tokens/step", "kept",
             "ms: plain step, step, drafts");
  std::vector<std::string> profiles{o.profile};
  if (o.profile == "all") profiles = {"code", "prose", "mix"};
  std::string rows;
  for (const std::string& profile : profiles) {
    for (const int64_t streams : o.streams) {
      if (profile == "mix" && streams == 1) continue;
      const Case c = run_case(model, o, profile, streams);
      fmt::print(
          "{:>8} {:>7} {:>10.1f} {:>10.1f} {:>7.2f} {:>6.2f} to {:>5.2f} {:>11.2f} {:>6.2f} "
          "{:>8.2f} {:>8.2f} {:>8.2f}\n",
          c.profile, c.streams, c.plain, c.drafting, c.ratio, c.least, c.most, c.tokens_per_step,
          c.kept, c.plain_ms, c.step_ms, c.draft_ms);
      std::fflush(stdout);
      rows += fmt::format(
          "{}{{\"profile\": \"{}\", \"flat\": {}, \"drafts\": {}, \"vocabulary\": {}, \"streams\": "
          "{}, "
          "\"plain\": {:.3f}, \"drafting\": {:.3f}, \"ratio\": {:.4f}, \"least\": {:.4f}, "
          "\"most\": "
          "{:.4f}, \"tokens_per_step\": {:.3f}, \"kept\": {:.3f}, \"drafting_share\": {:.3f}, "
          "\"plain_ms\": {:.3f}, \"step_ms\": {:.3f}, \"draft_ms\": {:.3f}}}\n",
          "", c.profile, o.flat, o.drafts, o.vocabulary, c.streams, c.plain, c.drafting, c.ratio,
          c.least, c.most, c.tokens_per_step, c.kept, c.drafting_share, c.plain_ms, c.step_ms,
          c.draft_ms);
    }
  }
  if (o.json.empty()) return 0;
  std::FILE* file = std::fopen(o.json.c_str(), "a");
  if (file == nullptr) return 1;
  std::fputs(rows.c_str(), file);
  std::fclose(file);
  return 0;
}

// Time of all delta nets of a step, by the rows that it verifies. Their states do not fit a cache:
// were they read or written once a row, time would grow with the rows by as much as the first
// takes.
int run_state(const BenchOptions& o) {
  const std::unique_ptr<Backend> backend = open_backend({});
  DeltaShape shape{16, 32, 128, 128, false};
  constexpr int64_t kRows = 8, kKernel = 4;
  const int64_t channels = shape.conv_channels(), values = shape.value_heads * shape.value_dim;
  const int64_t state = shape.value_heads * shape.key_dim * shape.value_dim;
  const auto layers = static_cast<size_t>(o.state_layers);
  const auto floats = [](int64_t count, float value) {
    return std::vector<float>(static_cast<size_t>(count), value);
  };
  std::vector<std::vector<float>> states(layers), windows(layers), updates(layers);
  for (size_t i = 0; i < layers; ++i) {
    states[i] = floats(state, 0.01f);
    windows[i] = floats((kKernel - 1) * channels, 0.1f);
    updates[i] = floats(kRows * shape.update_floats(), 0.1f);
  }
  std::vector<float> qkv(static_cast<size_t>(kRows * channels));
  for (size_t i = 0; i < qkv.size(); ++i) qkv[i] = static_cast<float>(random_normal(1, 2, i));
  const std::vector<float> z = floats(kRows * values, 0.3f),
                           b = floats(kRows * shape.value_heads, 0.f),
                           conv = floats(channels * kKernel, 0.2f), ones = floats(values, 1.f),
                           decay = floats(shape.value_heads, -0.05f);
  std::vector<float> out(static_cast<size_t>(kRows * values));
  DeltaNetParams params{shape,
                        conv,
                        kKernel,
                        decay,
                        std::span(b).first(static_cast<size_t>(shape.value_heads)),
                        std::span(ones).first(static_cast<size_t>(shape.value_dim)),
                        1e-6f};
  const double mb = static_cast<double>(layers) * static_cast<double>(state) * 4e-6;
  fmt::print("{}, {} states of {:.1f} MB, {:.1f} MB read and {:.1f} MB written a step\n",
             backend->description(), layers, static_cast<double>(state) * 4e-6, mb, mb);
  fmt::print("{:>5} {:>9} {:>10} {:>22}\n", "rows", "ms", "to 1 row", "were it one pass a row");
  double one = 0;
  for (int64_t rows = 1; rows <= kRows; ++rows) {
    if (o.rows > 0 && rows != o.rows) continue;
    std::vector<double> times;
    for (int64_t run = 0; run < 3 * o.pairs; ++run) {
      const auto begun = Clock::now();
      for (size_t i = 0; i < layers; ++i) {
        RecurrentSpan span;
        span.rows = {0, rows, 64};
        span.conv = windows[i].data();
        span.delta = states[i].data();
        span.updates = updates[i].data();
        span.update_stride = shape.update_floats();
        span.fold = rows > 1 ? rows - 1 : 0;  // what the step before set aside
        span.defer = rows > 1;
        const DeltaNetInputs in{{qkv.data(), rows, channels},
                                {z.data(), rows, values},
                                {b.data(), rows, shape.value_heads},
                                {b.data(), rows, shape.value_heads}};
        backend->gated_delta_net({out.data(), rows, values}, in, params, {&span, 1});
      }
      times.push_back(seconds_between(begun, Clock::now()));
    }
    const double ms = 1e3 * median(times);
    if (one == 0) one = ms;
    fmt::print("{:>5} {:>9.2f} {:>10.2f} {:>22.2f}\n", rows, ms, ms / one,
               static_cast<double>(rows));
  }
  return 0;
}

std::vector<int64_t> numbers(const std::string& list) {
  std::vector<int64_t> out;
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    out.push_back(std::atoll(list.substr(at, end - at).c_str()));
    at = end + 1;
  }
  return out;
}

// False for an option that is not known.
bool set_option(BenchOptions& o, const std::string& name, const char* value) {
  const auto is = [&](const char* option) { return name == option; };
  if (is("--profile"))
    o.profile = value;
  else if (is("--drafts"))
    o.drafts = std::atoll(value);
  else if (is("--streams"))
    o.streams = numbers(value);
  else if (is("--pairs"))
    o.pairs = std::atoll(value);
  else if (is("--tokens"))
    o.tokens = std::atoll(value);
  else if (is("--vocabulary"))
    o.vocabulary = std::atoll(value);
  else if (is("--temperature"))
    o.temperature = std::atof(value);
  else if (is("--flat"))
    o.flat = std::atof(value);
  else if (is("--state"))
    o.state_layers = std::atoll(value);
  else if (is("--rows"))
    o.rows = std::atoll(value);
  else if (is("--json"))
    o.json = value;
  else
    return false;
  return true;
}

constexpr const char* kUsage =
    "usage: headgate_speculation_bench MODEL [--profile all|code|prose|mix|flat] [--flat P]\n"
    "           [--streams 1,4] [--drafts -1] [--vocabulary 32768] [--pairs 5] [--tokens 96]\n"
    "           [--temperature 0] [--json FILE]   appends one line a case\n"
    "       headgate_speculation_bench - --state LAYERS [--rows N] [--pairs 5]\n";

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  headgate::BenchOptions options;
  bool understood = argc >= 2 && argc % 2 == 0;
  if (understood) options.model = argv[1];
  for (int i = 2; understood && i + 1 < argc; i += 2)
    understood = headgate::set_option(options, argv[i], argv[i + 1]);
  if (!understood || options.pairs < 1 || options.streams.empty()) {
    std::fputs(headgate::kUsage, stderr);
    return 2;
  }
  try {
    return options.state_layers > 0 ? headgate::run_state(options) : headgate::run(options);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "headgate_speculation_bench: %s\n", e.what());
    return 1;
  }
}
