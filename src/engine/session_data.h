// What a session holds: model, state, and the tokens that the state has consumed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/sequence_drafts.h"
#include "engine/session.h"

namespace headgate {

struct Session::Data {
  std::shared_ptr<const Model> model;
  int64_t text_tokens;
  int64_t context;
  int64_t native;          // the context of a sequence that is not stretched
  bool stretched = false;  // until the next clear()
  int64_t prefill_chunk;
  StatePool pool;
  SequenceState state;
  std::vector<int32_t> held;  // the tokens the state has consumed
  StepResult result;

  // Drafting; all of it empty or idle without drafts.
  bool drafting;
  std::unique_ptr<DraftModule> module;  // null when the model has none
  SequenceDrafts drafts;
  StepCosts costs;
  // The last token's hidden state at the kept snapshots: where a rewind may lead.
  struct HiddenAt {
    int64_t position;
    std::vector<float> hidden;
  };
  std::vector<HiddenAt> hidden_at;

  Data(std::shared_ptr<const Model> m, int64_t text, int64_t ctx, const SessionOptions& options,
       const StateShape& shape, int64_t budget);

  // Runs `tokens` through the model and leaves the logits of the wanted rows in `result`. After a
  // `deferred` step keep_rows() must say which of its tokens stay.
  void step(std::span<const int32_t> tokens, LogitRows logits, bool deferred = false);
  // After a deferred step: only the first `position` tokens held were right.
  void keep_rows(int64_t position);

  View last_logits() const;
  int64_t room() const { return stretched ? context : native; }
  // Forgets all tokens; what follows is stretched, or not.
  void restart(bool stretch);

  // Cuts the state back to a prefix of `prompt` that leaves at least its last token to compute.
  int64_t reuse_prefix(const std::vector<int32_t>& prompt);
  // Prefills prompt[held.size()..]; false when cancelled between chunks.
  bool prefill(const GenerationRequest& request);
};

}  // namespace headgate
