// The choice of draft depth from running measurements.
#include "engine/draft_control.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

// What a chain is worth before anything has been seen: optimistic, so that it is tried.
constexpr double kPriorAcceptance = 0.75;
constexpr double kPriorTrials = 4;
constexpr double kMemory = 0.97;  // weight that a round leaves to all before it
// Before a step of more rows has been measured: what one more row adds, as a share of one row's
// time.
constexpr double kRowShare = 0.2;
// Drafting must promise at least this much more than plain decoding.
constexpr double kLeastGain = 1.03;
// Where drafting does not pay it is tried again this often, in case the text has changed, and after
// each trial in vain half as often, down to...
constexpr int64_t kProbeEvery = 48, kProbeSeldom = 384;
// ... and where it pays, a plain step and a deeper chain are measured this often.
constexpr int64_t kRefreshEvery = 64;

}  // namespace

void check_draft_options(const DraftOptions& o) {
  if (o.top_k < 0)
    fail(ErrorCode::kInvalidArgument, "draft top-k: found {}, expected 0 or more", o.top_k);
  if (o.vocabulary < 0) {
    fail(ErrorCode::kInvalidArgument, "draft vocabulary: found {}, expected 0 or more",
         o.vocabulary);
  }
}

DraftControl::DraftControl(int64_t fixed, const DraftControl* others)
    : fixed_(fixed), probe_every_(kProbeEvery) {
  HEADGATE_CHECK(fixed >= -1 && fixed <= kMostDrafts);
  for (size_t source = 0; source < rates_.size(); ++source) {
    for (size_t place = 0; place < rates_[source].size(); ++place) {
      double acceptance = kPriorAcceptance;
      if (others != nullptr)
        acceptance =
            others->acceptance(static_cast<DraftSource>(source), static_cast<int64_t>(place));
      rates_[source][place] = {acceptance * kPriorTrials, kPriorTrials};
    }
  }
}

double DraftControl::acceptance(DraftSource source, int64_t place) const {
  const Rate& rate = rates_[static_cast<size_t>(source)][static_cast<size_t>(place)];
  return rate.hits / rate.trials;
}

double StepCosts::step_seconds(int64_t rows) const {
  const auto at = [&](int64_t n) { return step_seconds_[static_cast<size_t>(n)]; };
  if (at(rows) > 0) return at(rows);
  int64_t below = rows - 1, above = rows + 1;
  while (below >= 1 && at(below) == 0) --below;
  while (above <= kMostDrafts + 1 && at(above) == 0) ++above;
  if (below >= 1 && above <= kMostDrafts + 1) {
    const double part = static_cast<double>(rows - below) / static_cast<double>(above - below);
    return at(below) + part * (at(above) - at(below));
  }
  if (below >= 1) {
    const double one = at(1) > 0 ? at(1) : at(below);
    return at(below) + kRowShare * one * static_cast<double>(rows - below);
  }
  return above <= kMostDrafts + 1 ? at(above) : 0;
}

double DraftControl::expected(DraftSource source, int64_t depth, const StepCosts& costs) const {
  double tokens = 1, all = 1;
  for (int64_t place = 0; place < depth; ++place) {
    all *= acceptance(source, place);
    tokens += all;
  }
  const double drafting =
      source == DraftSource::kModule ? costs.draft_seconds() * static_cast<double>(depth) : 0;
  const double seconds = costs.step_seconds(depth + 1) + drafting;
  return seconds > 0 ? tokens / seconds : 0;
}

DraftControl::Choice DraftControl::choose(DraftSource source, int64_t limit,
                                          const StepCosts& costs) {
  limit = std::clamp<int64_t>(limit, 0, kMostDrafts);
  if (fixed_ >= 0) {
    const int64_t depth = std::min(fixed_, limit);
    return {depth, expected(source, depth, costs)};
  }
  ++rounds_;
  if (limit == 0) return {0, expected(source, 0, costs)};
  if (!costs.knows_plain_steps())
    return {0, 0};  // plain decoding is the yardstick: measure it first
  Choice best{0, expected(source, 0, costs) * kLeastGain};
  for (int64_t depth = 1; depth <= limit; ++depth) {
    const double speed = expected(source, depth, costs);
    if (speed > best.tokens_per_second) best = {depth, speed};
  }
  if (best.depth == 0) {
    best.tokens_per_second /= kLeastGain;
    if (++quiet_rounds_ < probe_every_) return best;
    quiet_rounds_ = 0;
    probe_every_ = std::min(2 * probe_every_, kProbeSeldom);
    best.depth = 1;
    return best;
  }
  quiet_rounds_ = 0;
  probe_every_ = kProbeEvery;
  if (rounds_ % kRefreshEvery == 0) best.depth = 0;
  if (rounds_ % kRefreshEvery == kRefreshEvery / 2) best.depth = std::min(best.depth + 1, limit);
  return best;
}

void StepCosts::record_step(int64_t rows, double seconds) {
  HEADGATE_CHECK(rows >= 1);
  if (rows > kMostDrafts + 1) return;
  double& mean = step_seconds_[static_cast<size_t>(rows)];
  // A step that something else on the machine held up says nothing about its cost.
  mean = mean == 0 ? seconds : mean + 0.15 * (std::min(seconds, 1.5 * mean) - mean);
}

void StepCosts::record_drafts(int64_t passes, double seconds) {
  if (passes == 0) return;
  const double each = seconds / static_cast<double>(passes);
  draft_seconds_ =
      draft_seconds_ == 0
          ? each
          : draft_seconds_ + 0.15 * (std::min(each, 1.5 * draft_seconds_) - draft_seconds_);
}

void DraftControl::record_round(DraftSource source, int64_t drafted, int64_t accepted) {
  HEADGATE_CHECK(accepted >= 0 && accepted <= drafted && drafted <= kMostDrafts);
  auto& rates = rates_[static_cast<size_t>(source)];
  for (int64_t place = 0; place < std::min(accepted + 1, drafted); ++place) {
    Rate& rate = rates[static_cast<size_t>(place)];
    rate.hits = rate.hits * kMemory + (place < accepted ? 1 : 0);
    rate.trials = rate.trials * kMemory + 1;
  }
}

}  // namespace headgate
