// Timed runs on forks of one prepared sequence, so that every run starts from the same state.
#include "eval/speed.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

#include "backend/calibrate.h"
#include "base/error.h"
#include "base/random.h"
#include "engine/session.h"
#include "eval/perplexity.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kPageTokens = 256;

double load_average() {
  std::array<double, 1> load{};
  return getloadavg(load.data(), 1) == 1 ? load[0] : 0;
}

class Runner {
 public:
  Runner(const Model& model, const SpeedOptions& options)
      : model_(model),
        options_(options),
        pool_(model.state_shape(options.kv_dtype, kPageTokens), budget(model, options)),
        random_tokens_(static_cast<size_t>(longest(options)) + 1) {
    // Text of its own for every position: repeated tokens would route to the same experts.
    const auto vocabulary = static_cast<double>(model.config().vocabulary);
    for (size_t i = 0; i < random_tokens_.size(); ++i)
      random_tokens_[i] = static_cast<int32_t>(random_uniform(1, 2, i) * vocabulary);
  }

  // A sequence that holds `depth` tokens.
  SequenceState prepare(int64_t depth) {
    SequenceState state = required(pool_.create());
    prefill(state, depth);
    return state;
  }

  SpeedResult time(const SequenceState& base, bool is_prefill, int64_t tokens,
                   const std::function<void()>& after_run) {
    SpeedResult result;
    result.prefill = is_prefill;
    result.tokens = tokens;
    result.depth = base.position();
    for (int64_t run = 0; run < options_.repeats; ++run) {
      SequenceState state = required(base.fork());
      if (run == 0) warm_up(base);
      const Clock::time_point start = Clock::now();
      if (is_prefill) {
        prefill(state, tokens);
      } else {
        decode(state, tokens);
      }
      result.seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      after_run();
    }
    const auto count = static_cast<double>(tokens);
    result.tokens_per_second = count / median(result.seconds);
    result.slowest = count / *std::max_element(result.seconds.begin(), result.seconds.end());
    result.fastest = count / *std::min_element(result.seconds.begin(), result.seconds.end());
    if (!is_prefill) {
      const double middle = static_cast<double>(result.depth) + count / 2;
      result.bytes_per_token = decode_bytes_per_token(model_, pool_.shape(), middle);
    }
    return result;
  }

 private:
  static int64_t longest(const SpeedOptions& options) {
    int64_t tokens = options.generate;
    for (int64_t prompt : options.prompts) tokens = std::max(tokens, prompt);
    int64_t depth = 0;
    for (int64_t d : options.depths) depth = std::max(depth, d);
    return tokens + depth;
  }

  // Three sequences at once: the prepared one, the one that is timed, the one that warms up.
  static int64_t budget(const Model& model, const SpeedOptions& options) {
    const StateShape shape = model.state_shape(options.kv_dtype, kPageTokens);
    const int64_t pages = longest(options) / kPageTokens + 2;
    return 3 * (pages * shape.page_bytes() + shape.recurrent_bytes());
  }

  static SequenceState required(std::optional<SequenceState> state) {
    if (!state) fail(ErrorCode::kResourceExhausted, "bench: no room for the state of a sequence");
    return std::move(*state);
  }

  void step(SequenceState& state, int64_t tokens, LogitRows logits) {
    if (!state.reserve(tokens))
      fail(ErrorCode::kResourceExhausted, "bench: no room for {} more tokens", tokens);
    const auto from = static_cast<size_t>(state.position());
    const BatchItem item{
        &state, std::span(random_tokens_).subspan(from, static_cast<size_t>(tokens)), logits};
    model_.forward({&item, 1}, result_);
  }

  void prefill(SequenceState& state, int64_t tokens) {
    for (int64_t left = tokens; left > 0; left -= options_.chunk) {
      const int64_t now = std::min(left, options_.chunk);
      step(state, now, now == left ? LogitRows::kLast : LogitRows::kNone);
    }
  }

  void decode(SequenceState& state, int64_t tokens) {
    for (int64_t i = 0; i < tokens; ++i) step(state, 1, LogitRows::kLast);
  }

  // Faults pages in and lets scratch memory grow to its size.
  void warm_up(const SequenceState& base) {
    SequenceState state = required(base.fork());
    step(state, 1, LogitRows::kLast);
  }

  const Model& model_;
  const SpeedOptions& options_;
  StatePool pool_;
  std::vector<int32_t> random_tokens_;
  StepResult result_;
};

void check_options(const SpeedOptions& options) {
  const auto positive = [](int64_t value) { return value > 0; };
  if (options.repeats < 1 || options.chunk < 1 || options.generate < 0 ||
      !std::all_of(options.prompts.begin(), options.prompts.end(), positive) ||
      std::any_of(options.depths.begin(), options.depths.end(), [](int64_t d) { return d < 0; })) {
    fail(ErrorCode::kInvalidArgument,
         "bench: expected prompts, repeats and chunk of at least 1, depths of at least 0");
  }
  if (options.depths.empty() || (options.prompts.empty() && options.generate == 0))
    fail(ErrorCode::kInvalidArgument, "bench: nothing to measure");
}

}  // namespace

double median(std::vector<double> samples) { return quantile(std::move(samples), 0.5); }

double decode_bytes_per_token(const Model& model, const StateShape& shape, double depth) {
  const double kv =
      static_cast<double>(shape.page_bytes()) / static_cast<double>(shape.kv.page_tokens) * depth;
  return static_cast<double>(model.weight_bytes_per_token()) + kv +
         2.0 * static_cast<double>(shape.recurrent_bytes());
}

SpeedReport measure_speed(const Model& model, const SpeedOptions& options) {
  check_options(options);
  SpeedReport report;
  report.load_before = load_average();
  const Calibration before = calibrate_memory(options.threads);

  const auto tests = static_cast<int64_t>(options.prompts.size()) + (options.generate > 0 ? 1 : 0);
  const int64_t total = static_cast<int64_t>(options.depths.size()) * tests * options.repeats;
  int64_t done = 0;
  const auto after_run = [&] {
    if (options.progress && !options.progress(++done, total))
      fail(ErrorCode::kCancelled, "cancelled");
  };
  Runner runner(model, options);
  for (int64_t depth : options.depths) {
    const SequenceState base = runner.prepare(depth);
    for (int64_t prompt : options.prompts)
      report.results.push_back(runner.time(base, /*is_prefill=*/true, prompt, after_run));
    if (options.generate > 0)
      report.results.push_back(
          runner.time(base, /*is_prefill=*/false, options.generate, after_run));
  }

  const Calibration after = calibrate_memory(options.threads);
  report.read_gbps = (before.read_gbps + after.read_gbps) / 2;
  report.read_gbps_one = (before.read_gbps_one + after.read_gbps_one) / 2;
  report.bandwidth_change = before.read_gbps > 0 ? after.read_gbps / before.read_gbps - 1 : 0;
  report.load_after = load_average();
  return report;
}

}  // namespace headgate
