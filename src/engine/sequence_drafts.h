// The drafts of one sequence: where they come from, how many pay, how they fared.
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

// A sequence that begins to be followed in the middle of a text drafts without what was before:
// that costs drafts, never a wrong token. Thread rule: the engine's.
class SequenceDrafts {
 public:
  // `module`: the model's, null where it has none.
  SequenceDrafts(DraftModule* module, const DraftControl& control, bool lookup);

  // Whether the sequence is stretched; for the module's next following.
  void stretch(bool on) { stretched_ = on; }
  // Whether the module goes along from here on; what it knew is forgotten otherwise.
  void follow(bool on);
  bool follows() const { return drafter_ != nullptr; }
  ModuleDrafter* drafter() { return drafter_.get(); }  // null: it does not follow
  // Follows from where `other`, a sequence with the same text so far, is.
  void follow_as(const SequenceDrafts& other);

  // The text so far; tokens that are drawn come by add_token().
  void begin(std::span<const int32_t> text);
  void add_token(int32_t token);
  // Rows that a step computed and that stay: hidden states of positions, and of the tokens that
  // follow them those which were known before. `reading`: more of the text is there already.
  void add_rows(View hidden, std::span<const int32_t> next, bool reading);
  // Instead of drafts of the module: it follows the text all the same, or not even that.
  void rest(bool keeps_up);

  // What to draft after the last token, none where plain decoding is as fast.
  struct Plan {
    std::vector<int32_t> drafts;  // found in the text
    int64_t from_module = 0;      // so many are wanted of DraftModule::draft(), by drafter()
  };
  // `together`: the module's depth, where it was chosen for several sequences.
  Plan plan(int64_t limit, const StepCosts& costs, DraftStats& stats,
            const DraftControl::Choice* together = nullptr);
  // Whether the module can draft now.
  bool ready() const { return drafter_ != nullptr && drafter_->ready(); }
  const DraftControl& control() const { return control_; }
  // Of the last drafts so many were right; with `ended` nobody knows of those behind them.
  void record(int64_t drafted, int64_t accepted, bool ended, DraftStats& stats);
  DraftSource source() const { return source_; }  // of the last drafts

 private:
  DraftModule* module_;
  bool looks_up_;
  bool stretched_ = false;
  LookupDrafter lookup_;
  std::unique_ptr<ModuleDrafter> drafter_;
  DraftControl control_;
  DraftSource source_ = DraftSource::kModule;
};

}  // namespace headgate
