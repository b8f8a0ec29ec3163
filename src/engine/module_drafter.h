// Drafts from the model's multi-token-prediction module, kept in step with the trunk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/sequence_state.h"
#include "engine/draft_control.h"
#include "model/model.h"
#include "sampling/sampler.h"

namespace headgate {

class ModuleDrafter;

// The module of one model, for all sequences that draft with it. Thread rule: the engine's thread.
class DraftModule {
 public:
  // `budget_bytes` for the keys and values of all sequences together; `text_tokens` as in Sampler.
  DraftModule(const Model& model, int64_t text_tokens, DType kv_dtype, int64_t budget_bytes,
              const DraftOptions& options);

  // Called when the budget is used up; true when it has made room.
  void when_full(std::function<bool()> make_room) { make_room_ = std::move(make_room); }

  // `count` drafts wanted of a sequence, drawn by its sampler, which is left as it was found.
  struct Chain {
    ModuleDrafter* drafter = nullptr;  // ready()
    Sampler* sampler = nullptr;
    int64_t count = 0;
    std::vector<int32_t> drafts = {};  // filled in; fewer where room or a constraint ends early
  };
  // The module runs once for each place of the longest chain, over all that go on to there. Returns
  // the seconds it took, without those for pairs that waited because it rested.
  double draft(std::span<Chain> chains);

  // Whether it may follow so many sequences that are decoded together, in steps of that length,
  // while it drafts nothing: what that takes is hardly noticed.
  bool keeps_up(int64_t sequences, double step_seconds) const;
  int64_t passes() const { return passes_; }  // of the module, so far

  const Model& model() const { return model_; }
  StatePool& pool() { return pool_; }
  int64_t hidden_size() const { return model_.config().hidden_size; }

 private:
  friend class ModuleDrafter;

  [[nodiscard]] bool reserve(SequenceState& state, int64_t pairs);
  void forward(std::span<const MtpItem> items, LogitRows logits);
  // The tokens that the chains may draft.
  void choose_tokens(std::span<const Chain> chains);
  // Draws a chain's next draft from row `row` of the last pass; false where its text ends.
  bool draw(Chain& chain, int64_t row);
  // The row with an entry for every token.
  std::span<const float> spread(std::span<const float> logits);
  int64_t token_at(int64_t column) const;

  const Model& model_;
  int64_t text_tokens_;
  DraftOptions options_;
  StatePool pool_;
  std::function<bool()> make_room_;
  VocabularyPart part_;
  std::vector<MtpItem> items_;
  StepResult result_;
  std::vector<float> row_;
  int64_t passes_ = 0;
  double pair_seconds_ = 0;  // to feed one among many; 0: not measured yet
};

// Follows one sequence. The module attends over pairs: pair i is the trunk's final hidden state of
// position i with the token at i + 1. Pairs of verified tokens are exact and stay; those of its own
// drafts are dropped after each round. Source: DeepSeek-V3 (arXiv 2412.19437, section 2.2), chained
// as in vLLM's proposer.
class ModuleDrafter {
 public:
  // `stretched`: as the sequence is (BatchItem::stretched).
  explicit ModuleDrafter(DraftModule& module, bool stretched = false);

  // Tokens that the text has: those beyond the module's usual vocabulary may be drafted too.
  void note(std::span<const int32_t> tokens);
  // The trunk has computed hidden states [rows, hidden] of the next positions.
  void add_hidden(View hidden);
  // The tokens that follow those positions, as they become known: token i + 1 belongs to position
  // i.
  void add_tokens(std::span<const int32_t> tokens);
  // Feeds complete pairs to the module when there are at least so many.
  void catch_up(int64_t least = kWorthAPass);
  // Instead of catch_up() while nothing is drafted and feeding takes too long: the module does not
  // run, and knows no more than the latest kRemembered pairs or a few more when it drafts again.
  void rest();
  static constexpr int64_t kRemembered = 16;

  // The sequence now consists of its first `position` tokens; the rest was taken back.
  // `last_hidden` is the trunk's hidden state of the last of them, where it is known; without it
  // one pair of the module's past is a guess, which can only cost drafts.
  void rewind(int64_t position, std::span<const float> last_hidden);

  // Another sequence's past: its pairs, and the hidden state after them.
  [[nodiscard]] bool adopt(const Snapshot& pairs, int64_t position,
                           std::span<const float> last_hidden);
  // What `other` knows, for a text that begins as its text. Without room: nothing.
  void begin_as(const ModuleDrafter& other);
  // The first `pairs` of the pairs so far; nullopt without room.
  std::optional<Snapshot> snapshot_at(int64_t pairs) const;
  int64_t position() const { return state_.position(); }  // pairs fed
  // Whether it has had, fed or not, all pairs of the text's first `tokens` tokens.
  bool covers(int64_t tokens) const {
    return skipped_ == 0 && state_.position() + pairs() >= tokens - 1;
  }
  // Of the last position added; empty before the first.
  std::span<const float> last_hidden() const { return last_hidden_; }

  // Whether drafts may be asked for: some pair is complete, and no position waits for its token.
  bool ready() const;

 private:
  friend class DraftModule;
  static constexpr int64_t kWorthAPass = 64;

  int64_t pairs() const;  // complete, not yet fed
  void drop_pairs(int64_t count);
  void skip(int64_t count);  // forgets all that was fed, and so many of the pairs that wait

  DraftModule& module_;
  bool stretched_;
  SequenceState state_;
  int64_t skipped_ = 0;          // pairs of the text before the first that state_ has
  std::vector<float> hidden_;    // of positions from skipped_ + state_.position() on
  std::vector<int32_t> tokens_;  // that follow them
  std::vector<float> last_hidden_;
  std::vector<int32_t> groups_;  // of VocabularyPart, ascending
};

}  // namespace headgate
