// Timed runs on forks of prepared sequences, so that every run starts from the same state.
#include "eval/speed.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/error.h"
#include "eval/perplexity.h"
#include "eval/sequence_group.h"

namespace headgate {
namespace {

constexpr int64_t kPageTokens = 256;

int64_t largest(const std::vector<int64_t>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

// All tests of one number of sequences.
class Runner {
 public:
  Runner(const Model& model, const SpeedOptions& options, int64_t sequences,
         std::function<void()> after_run)
      : model_(model),
        options_(options),
        pool_(model.state_shape(options.kv_dtype, kPageTokens), budget(model, options, sequences)),
        base_(model, pool_, sequences, options.chunk),
        after_run_(std::move(after_run)) {}

  // Depths must come in rising order.
  void run(int64_t depth, std::vector<SpeedResult>& results) {
    if (depth > base_.position()) base_.prefill(depth - base_.position());
    if (base_.sequences() == 1) {
      for (int64_t prompt : options_.prompts) results.push_back(time(/*is_prefill=*/true, prompt));
    }
    if (options_.generate > 0) results.push_back(time(/*is_prefill=*/false, options_.generate));
  }

 private:
  // The prepared group, the one that is timed and the one that warms up.
  static int64_t budget(const Model& model, const SpeedOptions& options, int64_t sequences) {
    const int64_t tokens =
        std::max(largest(options.prompts), options.generate) + largest(options.depths);
    return 3 * group_bytes(model.state_shape(options.kv_dtype, kPageTokens), sequences, tokens);
  }

  SpeedResult time(bool is_prefill, int64_t tokens) {
    SpeedResult result;
    result.prefill = is_prefill;
    result.tokens = tokens;
    result.depth = base_.position();
    result.sequences = base_.sequences();
    // Faults pages in and lets scratch memory grow to its size.
    base_.fork().decode(1);
    for (int64_t run = 0; run < options_.repeats; ++run) {
      SequenceGroup group = base_.fork();
      result.seconds.push_back(is_prefill ? group.prefill(tokens) : group.decode(tokens));
      after_run_();
    }
    const auto count = static_cast<double>(tokens * result.sequences);
    result.tokens_per_second = count / median(result.seconds);
    result.slowest = count / *std::max_element(result.seconds.begin(), result.seconds.end());
    result.fastest = count / *std::min_element(result.seconds.begin(), result.seconds.end());
    if (!is_prefill) count_bytes(result);
    return result;
  }

  void count_bytes(SpeedResult& result) const {
    result.distinct_experts = base_.distinct_experts();
    const double middle =
        static_cast<double>(result.depth) + static_cast<double>(result.tokens) / 2;
    result.bytes_per_token = decode_step_bytes(model_, pool_.shape(), middle, result.sequences,
                                               result.distinct_experts) /
                             static_cast<double>(result.sequences);
  }

  const Model& model_;
  const SpeedOptions& options_;
  StatePool pool_;
  SequenceGroup base_;
  std::function<void()> after_run_;
};

// Depths are visited from the shallowest to the deepest, sequences as they are named.
SpeedOptions checked(SpeedOptions options) {
  const auto positive = [](int64_t value) { return value > 0; };
  if (options.repeats < 1 || options.chunk < 1 || options.generate < 0 ||
      !std::all_of(options.prompts.begin(), options.prompts.end(), positive) ||
      !std::all_of(options.sequences.begin(), options.sequences.end(), positive) ||
      std::any_of(options.depths.begin(), options.depths.end(), [](int64_t d) { return d < 0; })) {
    fail(ErrorCode::kInvalidArgument,
         "bench: expected prompts, sequences, repeats and chunk of at least 1, depths of at least "
         "0");
  }
  const bool prompts = !options.prompts.empty() &&
                       std::count(options.sequences.begin(), options.sequences.end(), 1) > 0;
  if (options.depths.empty() || options.sequences.empty() || (!prompts && options.generate == 0))
    fail(ErrorCode::kInvalidArgument, "bench: nothing to measure");
  std::sort(options.depths.begin(), options.depths.end());
  return options;
}

int64_t count_runs(const SpeedOptions& options) {
  int64_t tests = 0;
  for (int64_t sequences : options.sequences) {
    if (sequences == 1) tests += static_cast<int64_t>(options.prompts.size());
    if (options.generate > 0) ++tests;
  }
  return tests * static_cast<int64_t>(options.depths.size()) * options.repeats;
}

}  // namespace

double median(std::vector<double> samples) { return quantile(std::move(samples), 0.5); }

double load_average() {
  std::array<double, 1> load{};
  return getloadavg(load.data(), 1) == 1 ? load[0] : 0;
}

double decode_step_bytes(const Model& model, const StateShape& shape, double depth,
                         int64_t sequences, double distinct_experts) {
  const double kv =
      static_cast<double>(shape.page_bytes()) / static_cast<double>(shape.kv.page_tokens) * depth;
  const double state = kv + 2.0 * static_cast<double>(shape.recurrent_bytes());
  const auto routed = static_cast<double>(model.routed_bytes_per_token());
  double weights = static_cast<double>(model.weight_bytes_per_token()) - routed;
  if (routed > 0)
    weights +=
        routed * distinct_experts / static_cast<double>(model.config().moe.experts_per_token);
  return weights + static_cast<double>(sequences) * state;
}

SpeedReport measure_speed(const Model& model, const SpeedOptions& given) {
  const SpeedOptions options = checked(given);
  SpeedReport report;
  report.load_before = load_average();
  const Calibration before = calibrate_memory(options.threads);
  report.peaks = calibrate_peaks(options.threads);
  const int64_t total = count_runs(options);
  int64_t done = 0;
  const auto after_run = [&] {
    if (options.progress && !options.progress(++done, total))
      fail(ErrorCode::kCancelled, "cancelled");
  };
  for (int64_t sequences : options.sequences) {
    Runner runner(model, options, sequences, after_run);
    for (int64_t depth : options.depths) runner.run(depth, report.results);
  }
  const Calibration after = calibrate_memory(options.threads);
  report.read_gbps = (before.read_gbps + after.read_gbps) / 2;
  report.read_gbps_one = (before.read_gbps_one + after.read_gbps_one) / 2;
  report.bandwidth_change = before.read_gbps > 0 ? after.read_gbps / before.read_gbps - 1 : 0;
  report.load_after = load_average();
  return report;
}

}  // namespace headgate
