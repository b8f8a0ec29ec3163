// The better of two sources of drafts, as deep as it pays.
#include "engine/sequence_drafts.h"

namespace headgate {

SequenceDrafts::SequenceDrafts(DraftModule* module, const DraftControl& control, bool lookup)
    : module_(module), looks_up_(lookup), control_(control) {}

void SequenceDrafts::follow(bool on) {
  if (!on) drafter_.reset();
  if (on && drafter_ == nullptr && module_ != nullptr)
    drafter_ = std::make_unique<ModuleDrafter>(*module_, stretched_);
}

void SequenceDrafts::follow_as(const SequenceDrafts& other) {
  if (other.drafter_ == nullptr) return;
  follow(true);
  drafter_->begin_as(*other.drafter_);
}

void SequenceDrafts::begin(std::span<const int32_t> text) {
  if (looks_up_) lookup_.update(text);
  if (drafter_ != nullptr) drafter_->note(text);
}

void SequenceDrafts::add_token(int32_t token) {
  if (looks_up_) lookup_.append(token);
  if (drafter_ == nullptr) return;
  drafter_->note({&token, 1});
  drafter_->add_tokens({&token, 1});
}

void SequenceDrafts::add_rows(View hidden, std::span<const int32_t> next, bool reading) {
  if (drafter_ == nullptr) return;
  drafter_->add_hidden(hidden);
  drafter_->add_tokens(next);
  if (reading) drafter_->catch_up();
}

void SequenceDrafts::rest(bool keeps_up) {
  control_.rest();
  if (drafter_ == nullptr) return;
  if (keeps_up) {
    drafter_->catch_up();
  } else {
    drafter_->rest();
  }
}

SequenceDrafts::Plan SequenceDrafts::plan(int64_t limit, const StepCosts& costs, DraftStats& stats,
                                          const DraftControl::Choice* together) {
  if (limit <= 0) return {};
  std::vector<int32_t> found = lookup_.draft(limit);
  DraftControl::Choice by_lookup, by_module;
  if (!found.empty()) {
    by_lookup = control_.choose(DraftSource::kLookup, static_cast<int64_t>(found.size()), costs);
  }
  if (ready() && together != nullptr && !control_.is_fixed()) {
    by_module = {std::min(together->depth, limit), together->tokens_per_second};
  } else if (ready() && by_lookup.depth < 2) {
    by_module = control_.choose(DraftSource::kModule, limit, costs);
  }
  if (by_lookup.depth > 0 && by_lookup.tokens_per_second >= by_module.tokens_per_second) {
    source_ = DraftSource::kLookup;
    found.resize(static_cast<size_t>(by_lookup.depth));
    stats.looked_up += by_lookup.depth;
    return {std::move(found), 0};
  }
  source_ = DraftSource::kModule;
  return {{}, by_module.depth};
}

void SequenceDrafts::record(int64_t drafted, int64_t accepted, bool ended, DraftStats& stats) {
  control_.record_round(source_, ended ? accepted : drafted, accepted);
  stats.drafted.resize(kMostDrafts, 0);
  stats.accepted.resize(kMostDrafts, 0);
  for (int64_t place = 0; place < drafted; ++place) {
    ++stats.drafted[static_cast<size_t>(place)];
    stats.accepted[static_cast<size_t>(place)] += place < accepted ? 1 : 0;
  }
}

}  // namespace headgate
