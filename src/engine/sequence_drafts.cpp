// The better of two sources of drafts, as deep as it pays.
#include "engine/sequence_drafts.h"

#include <chrono>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kPageTokens = 256;

}  // namespace

SequenceDrafts::SequenceDrafts(const Model& model, DType kv_dtype, int64_t context, int64_t fixed)
    : model_(model), kv_dtype_(kv_dtype), context_(context), control_(fixed) {}

void SequenceDrafts::follow(bool on) {
  if (!on) module_.reset();
  if (!on || module_ != nullptr || !model_.has_mtp()) return;
  module_ = std::make_unique<ModuleDrafter>(model_, kv_dtype_, context_, kPageTokens);
}

void SequenceDrafts::begin(std::span<const int32_t> text) { lookup_.update(text); }

void SequenceDrafts::add_token(int32_t token) {
  lookup_.append(token);
  if (module_ != nullptr) module_->add_tokens({&token, 1});
}

void SequenceDrafts::add_rows(View hidden, std::span<const int32_t> next) {
  if (module_ == nullptr) return;
  module_->add_hidden(hidden);
  module_->add_tokens(next);
  module_->catch_up();
}

std::vector<int32_t> SequenceDrafts::draft(int64_t limit, StepCosts& costs, Sampler& sampler,
                                           DraftStats& stats) {
  if (limit <= 0) return {};
  std::vector<int32_t> found = lookup_.draft(limit);
  DraftControl::Choice by_lookup, by_module;
  if (!found.empty()) {
    by_lookup = control_.choose(DraftSource::kLookup, static_cast<int64_t>(found.size()), costs);
  }
  if (module_ != nullptr && module_->ready() && by_lookup.depth < 2)
    by_module = control_.choose(DraftSource::kModule, limit, costs);
  if (by_lookup.depth > 0 && by_lookup.tokens_per_second >= by_module.tokens_per_second) {
    source_ = DraftSource::kLookup;
    found.resize(static_cast<size_t>(by_lookup.depth));
    stats.looked_up += by_lookup.depth;
    return found;
  }
  if (by_module.depth == 0) return {};
  source_ = DraftSource::kModule;
  const auto start = std::chrono::steady_clock::now();
  std::vector<int32_t> drafts = module_->draft(by_module.depth, sampler);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  costs.record_drafts(static_cast<int64_t>(drafts.size()), seconds);
  stats.draft_seconds += seconds;
  return drafts;
}

void SequenceDrafts::record(int64_t drafted, int64_t accepted, DraftStats& stats) {
  control_.record_round(source_, drafted, accepted);
  stats.drafted.resize(kMostDrafts, 0);
  stats.accepted.resize(kMostDrafts, 0);
  for (int64_t place = 0; place < drafted; ++place) {
    ++stats.drafted[static_cast<size_t>(place)];
    stats.accepted[static_cast<size_t>(place)] += place < accepted ? 1 : 0;
  }
}

}  // namespace headgate
