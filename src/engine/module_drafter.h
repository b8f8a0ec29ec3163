// Drafts from the model's multi-token-prediction module, kept in step with the trunk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/sequence_state.h"
#include "model/model.h"
#include "sampling/sampler.h"

namespace headgate {

// Follows one sequence. The module attends over pairs: pair i is the trunk's final hidden state of
// position i with the token at i + 1. Pairs of verified tokens are exact and stay; those of its own
// drafts are dropped after each round. Source: DeepSeek-V3 (arXiv 2412.19437, section 2.2), chained
// as in vLLM's proposer. Thread rule: the engine's thread.
class ModuleDrafter {
 public:
  // Room for `context` tokens. Throws kResourceExhausted without memory for its cache.
  ModuleDrafter(const Model& model, DType kv_dtype, int64_t context, int64_t page_tokens);

  // The trunk has computed hidden states [rows, hidden] of the next positions.
  void add_hidden(View hidden);
  // The tokens that follow those positions, as they become known: token i + 1 belongs to position
  // i.
  void add_tokens(std::span<const int32_t> tokens);
  // Feeds complete pairs to the module when there are enough of them to be worth a step.
  void catch_up();

  // The sequence now consists of its first `position` tokens; the rest was taken back.
  // `last_hidden` is the trunk's hidden state of the last of them, where it is known; without it
  // one pair of the module's past is a guess, which can only cost drafts.
  void rewind(int64_t position, std::span<const float> last_hidden);

  // Whether draft() may be called: some pair is complete, and no position waits for its token.
  bool ready() const;
  // `count` tokens after the last one added, drawn by `sampler`, which is left as it was found.
  std::vector<int32_t> draft(int64_t count, Sampler& sampler);

 private:
  int64_t pairs() const;  // complete, not yet fed
  void feed(int64_t count, LogitRows logits);

  const Model& model_;
  StatePool pool_;
  SequenceState state_;
  std::vector<float> hidden_;    // of positions from state_.position() on
  std::vector<int32_t> tokens_;  // that follow them
  StepResult result_;
};

}  // namespace headgate
