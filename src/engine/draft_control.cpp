// The choice of draft depth from running measurements.
#include "engine/draft_control.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

// What a chain is worth before anything has been seen: optimistic, so that it is tried.
constexpr double kPriorAcceptance = 0.75;
constexpr double kPriorTrials = 4;
constexpr double kLeastAcceptance = 1e-3;
constexpr double kNewest = 0.15;    // weight of the newest measurement
constexpr int64_t kFirstDepth = 2;  // of drafts while nobody knows what they cost
constexpr double kMemory = 0.97;    // weight that a round leaves to all before it
// Before a step of more rows has been measured: what one more row adds, as a share of one row's
// time.
constexpr double kRowShare = 0.2;
// Drafting must promise at least this much more than plain decoding.
constexpr double kLeastGain = 1.03;
// Where drafting does not pay it is tried again this often, in case the text has changed, and after
// each trial in vain half as often, down to...
constexpr int64_t kProbeEvery = 48, kProbeSeldom = 384;
// A probe after this many rounds without drafts may find another text, and so many that are kept in
// a row have found one: what was seen before is forgotten.
constexpr int64_t kLongRest = 32, kNewText = 8;
// ... and where it pays, a plain step, a shorter chain and two longer ones are measured this often.
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
    Prior& prior = priors_[source];
    prior.first = kPriorAcceptance;
    prior.falls.fill(1);
    if (others == nullptr) continue;
    const auto seen = [&](size_t place) {
      return others->acceptance(static_cast<DraftSource>(source), static_cast<int64_t>(place));
    };
    prior.first = seen(0);
    for (size_t place = 1; place < kMostDrafts; ++place)
      prior.falls[place] = seen(place) / seen(place - 1);
  }
}

std::array<double, kMostDrafts> DraftControl::acceptances(DraftSource source) const {
  const auto& rates = rates_[static_cast<size_t>(source)];
  const Prior& prior = priors_[static_cast<size_t>(source)];
  std::array<double, kMostDrafts> out;
  double kept = prior.first;
  for (size_t place = 0; place < out.size(); ++place) {
    if (place > 0) kept *= prior.falls[place];
    kept = (rates[place].hits + kPriorTrials * kept) / (rates[place].trials + kPriorTrials);
    kept = std::clamp(kept, kLeastAcceptance, 1.0);
    out[place] = kept;
  }
  return out;
}

double DraftControl::acceptance(DraftSource source, int64_t place) const {
  return acceptances(source)[static_cast<size_t>(place)];
}

double StepCosts::step_seconds(int64_t rows) const {
  const auto at = [&](int64_t n) { return steps_[static_cast<size_t>(n)].seconds; };
  if (at(rows) > 0) return at(rows);
  int64_t below = rows - 1, above = rows + 1;
  while (below >= 1 && at(below) == 0) --below;
  while (above <= kMostDrafts + 1 && at(above) == 0) ++above;
  if (below >= 1 && above <= kMostDrafts + 1) {
    const double part = static_cast<double>(rows - below) / static_cast<double>(above - below);
    return at(below) + part * (at(above) - at(below));
  }
  if (below >= 1) {
    // As much as the last rows that are known cost each.
    int64_t before = below - 1;
    while (before >= 1 && at(before) == 0) --before;
    const double row = before >= 1 ? (at(below) - at(before)) / static_cast<double>(below - before)
                                   : kRowShare * at(below);
    return at(below) + std::max(row, 0.0) * static_cast<double>(rows - below);
  }
  return above <= kMostDrafts + 1 ? at(above) : 0;
}

void DraftControl::add_tokens(DraftSource source,
                              std::array<double, kMostDrafts + 1>& tokens) const {
  const std::array<double, kMostDrafts> kept = acceptances(source);
  double sum = 1, all = 1;
  tokens[0] += sum;
  for (size_t depth = 1; depth < tokens.size(); ++depth) {
    all *= kept[depth - 1];
    sum += all;
    tokens[depth] += sum;
  }
}

DraftControl::Choice DraftControl::choose(DraftSource source, int64_t limit,
                                          const StepCosts& costs) {
  std::array<double, kMostDrafts + 1> tokens{};
  add_tokens(source, tokens);
  return best_of(tokens, source, limit, costs);
}

DraftControl::Choice DraftControl::choose_together(std::span<const DraftControl* const> texts,
                                                   int64_t limit, const StepCosts& costs) {
  std::array<double, kMostDrafts + 1> tokens{};
  for (const DraftControl* text : texts) text->add_tokens(DraftSource::kModule, tokens);
  for (double& sum : tokens) sum /= static_cast<double>(texts.size());
  return best_of(tokens, DraftSource::kModule, limit, costs);
}

DraftControl::Choice DraftControl::best_of(const std::array<double, kMostDrafts + 1>& tokens,
                                           DraftSource source, int64_t limit,
                                           const StepCosts& costs) {
  limit = std::clamp<int64_t>(limit, 0, kMostDrafts);
  const double draft = source == DraftSource::kModule ? costs.draft_seconds() : 0;
  const auto speed = [&](int64_t depth) {
    const double seconds = costs.step_seconds(depth + 1) + draft * static_cast<double>(depth);
    return seconds > 0 ? tokens[static_cast<size_t>(depth)] / seconds : 0;
  };
  if (fixed_ >= 0) {
    const int64_t depth = std::min(fixed_, limit);
    return {depth, speed(depth)};
  }
  ++rounds_;
  if (limit == 0) return {0, speed(0)};
  // Plain decoding is the yardstick: measure it first. Then a few drafts, which have no cost yet.
  if (!costs.knows_plain_steps()) return {0, 0};
  if (source == DraftSource::kModule && !costs.knows_drafts())
    return {std::min(kFirstDepth, limit), 0};
  Choice best{0, speed(0) * kLeastGain};
  for (int64_t depth = 1; depth <= limit; ++depth) {
    const double expected = speed(depth);
    if (expected > best.tokens_per_second) best = {depth, expected};
  }
  if (best.depth == 0) {
    best.tokens_per_second /= kLeastGain;
    if (probes(source, tokens[1])) best.depth = 1;
    return best;
  }
  quiet_rounds_ = 0;
  probed_ = {};
  probe_every_ = kProbeEvery;
  // What was measured long ago may be otherwise now.
  const int64_t turn = rounds_ % kRefreshEvery;
  if (turn == 0) best.depth = 0;
  if (turn == kRefreshEvery / 4) best.depth = std::max<int64_t>(best.depth - 1, 1);
  if (turn == kRefreshEvery / 2 || turn == 3 * kRefreshEvery / 4)
    best.depth = std::min(best.depth + 1, limit);
  return best;
}

bool DraftControl::probes(DraftSource source, double tokens) {
  double& before = probed_[static_cast<size_t>(source)];
  // Another at once as long as they are kept.
  const bool again = before > 0 && tokens > before;
  before = 0;
  if (!again) {
    if (++quiet_rounds_ < probe_every_) return false;
    probe_every_ = std::min(2 * probe_every_, kProbeSeldom);
  }
  quiet_rounds_ = 0;
  before = tokens;
  return true;
}

void StepCosts::record_step(int64_t rows, double seconds) {
  HEADGATE_CHECK(rows >= 1);
  if (rows > kMostDrafts + 1) return;
  steps_[static_cast<size_t>(rows)].add(seconds);
}

void StepCosts::record_drafts(int64_t passes, double seconds) {
  if (passes > 0) draft_.add(seconds / static_cast<double>(passes));
}

void StepCosts::Mean::add(double value) {
  ++count;
  if (count == 1) {
    seconds = value;
  } else if (count <= kFirst) {
    seconds = std::min(seconds, value);  // caches are cold, scratch memory grows
  } else {
    // What something else on the machine held up says nothing about its cost.
    seconds += kNewest * (std::min(value, 1.5 * seconds) - seconds);
  }
}

void DraftControl::rest() { ++rested_; }

void DraftControl::record_round(DraftSource source, int64_t drafted, int64_t accepted) {
  HEADGATE_CHECK(accepted >= 0 && accepted <= drafted && drafted <= kMostDrafts);
  auto& rates = rates_[static_cast<size_t>(source)];
  if (source == DraftSource::kModule && drafted > 0) {
    if (rested_ >= kLongRest) kept_ = 0;
    rested_ = 0;
    if (kept_ >= 0) kept_ = accepted > 0 ? kept_ + 1 : -1;
    if (kept_ == kNewText) {
      rates[0] = {static_cast<double>(kNewText - 1), static_cast<double>(kNewText - 1)};
      kept_ = -1;
    }
  }
  for (int64_t place = 0; place < std::min(accepted + 1, drafted); ++place) {
    Rate& rate = rates[static_cast<size_t>(place)];
    rate.hits = rate.hits * kMemory + (place < accepted ? 1 : 0);
    rate.trials = rate.trials * kMemory + 1;
  }
}

}  // namespace headgate
