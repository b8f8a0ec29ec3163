// The drafts of one sequence among many: where they come from, how many pay, how they fared.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/draft_control.h"
#include "engine/lookup_drafter.h"
#include "engine/module_drafter.h"
#include "engine/outcome.h"

namespace headgate {

// The module follows a sequence only while few run. When it begins in the middle of a text it knows
// nothing of what was before: that costs drafts, never a wrong token. Thread rule: the engine's.
class SequenceDrafts {
 public:
  // `fixed` as in DraftControl; `context` tokens at most.
  SequenceDrafts(const Model& model, DType kv_dtype, int64_t context, int64_t fixed);

  // Before a step: whether the module should go along from here on.
  void follow(bool on);
  bool follows() const { return module_ != nullptr; }

  // The text so far; tokens that are drawn come by add_token().
  void begin(std::span<const int32_t> text);
  void add_token(int32_t token);
  // Rows that a step computed and that stay: hidden states of positions, and of the tokens that
  // follow them those which were known before.
  void add_rows(View hidden, std::span<const int32_t> next);

  // At most `limit` tokens to follow the last one; none where plain decoding is as fast.
  std::vector<int32_t> draft(int64_t limit, StepCosts& costs, Sampler& sampler, DraftStats& stats);
  // Of the last drafts so many were right.
  void record(int64_t drafted, int64_t accepted, DraftStats& stats);

 private:
  const Model& model_;
  DType kv_dtype_;
  int64_t context_;
  LookupDrafter lookup_;
  std::unique_ptr<ModuleDrafter> module_;
  DraftControl control_;
  DraftSource source_ = DraftSource::kModule;  // of the last drafts
};

}  // namespace headgate
