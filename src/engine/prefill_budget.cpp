// A controller on measured step times.
#include "engine/prefill_budget.h"

#include <algorithm>
#include <cmath>

namespace headgate {
namespace {

constexpr double kLeast = 1;              // token: prompts always move on
constexpr int64_t kMeasureEvery = 32;     // steps with prompt tokens between two without
constexpr double kMostCrowd = 8;          // readers for each decoding row that count
constexpr double kWeight = 0.2;           // of the latest measurement
constexpr double kWeightOfSlower = 0.25;  // of a decoding step beside one that was faster
constexpr int64_t kRound = 4;             // tokens, where there are as many
// A frame of a screen: nobody sees that a text stood still for so long, ...
constexpr double kPauseSeconds = 0.016;
// ... and where so few steps fit into it, long prompts wait for a pause after every so many.
constexpr double kStepsInPause = 16, kPauseEvery = 256;
constexpr int64_t kColdSteps = 4;  // after a pause, until the weights are back in the caches

int64_t bucket(int64_t rows) {
  int64_t at = 0;
  while ((int64_t{1} << at) < rows) ++at;
  return at;
}

void blend(double& mean, double seen) { mean = mean == 0 ? seen : mean + kWeight * (seen - mean); }

}  // namespace

PrefillBudget::PrefillBudget(int64_t most, double slowdown, double longest)
    : most_(most), slowdown_(slowdown), longest_(longest), since_pause_(kPauseEvery) {}

double PrefillBudget::decode_seconds(int64_t decoding) const {
  const int64_t at = std::min(bucket(std::max<int64_t>(decoding, 1)), kBuckets - 1);
  for (int64_t distance = 0; distance < kBuckets; ++distance) {  // fewer rows first: cautious
    if (at >= distance && decode_seconds_[static_cast<size_t>(at - distance)] > 0)
      return decode_seconds_[static_cast<size_t>(at - distance)];
    if (at + distance < kBuckets && decode_seconds_[static_cast<size_t>(at + distance)] > 0)
      return decode_seconds_[static_cast<size_t>(at + distance)];
  }
  return 0;
}

double PrefillBudget::tokens_per_second() const {
  return seconds_per_token_ > 0 ? 1 / seconds_per_token_ : 0;
}

double PrefillBudget::pause_seconds(double quiet) const {
  return std::min(kPauseSeconds, kPauseEvery * (slowdown_ - 1) * quiet);
}

int64_t PrefillBudget::whole_tokens(double wanted) const {
  const auto whole = static_cast<int64_t>(wanted);
  return std::clamp<int64_t>(whole < kRound ? whole : whole / kRound * kRound, 1, most_);
}

PrefillBudget::Share PrefillBudget::share(int64_t decoding, int64_t reading, int64_t long_ones) {
  const auto most = static_cast<double>(most_);
  pausing_ = false;
  if (decoding == 0) {
    const bool measured = seconds_per_token_ > 0;
    return {whole_tokens(measured ? std::min(most, std::max(longest_ / seconds_per_token_, kLeast))
                                  : most),
            true};
  }
  const double crowd =
      std::clamp(static_cast<double>(reading) / static_cast<double>(decoding), 1.0, kMostCrowd);
  const double quiet = decode_seconds(decoding);
  const bool pauses = long_ones > 0 && quiet > 0 && kStepsInPause * quiet <= kPauseSeconds;
  if (pauses) {
    since_pause_ += crowd;
    pausing_ = since_pause_ >= kPauseEvery;
    if (pausing_) {
      since_pause_ = 0;
      return {whole_tokens(paused_), true};
    }
  }
  if (++mixed_steps_ % kMeasureEvery == 0) return {0, !pauses};
  return {whole_tokens(std::min(most, mixed_ * crowd)), !pauses};
}

void PrefillBudget::record(int64_t decoding, int64_t prompt_tokens, double seconds) {
  if (decoding == 0 && prompt_tokens > 0)
    return blend(seconds_per_token_, seconds / static_cast<double>(prompt_tokens));
  if (prompt_tokens == 0) {
    if (cold_steps_ > 0) {
      --cold_steps_;
      return;
    }
    const int64_t at = std::min(bucket(std::max<int64_t>(decoding, 1)), kBuckets - 1);
    double& quiet = decode_seconds_[static_cast<size_t>(at)];
    // Between steps with prompt tokens the caches are cold, which says little of quiet times.
    if (quiet > 0 && seconds > quiet) seconds = quiet + kWeightOfSlower * (seconds - quiet);
    return blend(quiet, seconds);
  }
  if (pausing_) cold_steps_ = kColdSteps;
  // The step's own length says how far the next may go; a piece much shorter than allowed (the end
  // of a prompt) says little.
  const double quiet = decode_seconds(decoding);
  double& tokens = pausing_ ? paused_ : mixed_;
  if (quiet == 0 || static_cast<double>(prompt_tokens) < tokens / 2) return;
  const double each = std::max(seconds - quiet, 1e-9) / static_cast<double>(prompt_tokens);
  const double wanted = (pausing_ ? pause_seconds(quiet) : (slowdown_ - 1) * quiet) / each;
  // Down at once, up slowly: a step that was fast by chance must not make the next ones long.
  // Pauses are few, so that they have to learn faster.
  tokens = std::clamp(wanted, tokens * 0.5, tokens * (pausing_ ? 1.5 : 1.08));
  tokens = std::clamp(tokens, kLeast, static_cast<double>(most_));
}

}  // namespace headgate
