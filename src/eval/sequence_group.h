// Sequences of random text that advance together, timed.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace headgate {

// `sequences` texts of their own in one pool: repeated tokens would route to the same experts.
// Throws kResourceExhausted when the pool has no room. The model and the pool must outlive the
// group. Thread rule: that of Model::forward.
class SequenceGroup {
 public:
  // Prompts are read in steps of `chunk` tokens, one sequence after the other.
  SequenceGroup(const Model& model, StatePool& pool, int64_t sequences, int64_t chunk);

  // A group with the same past; pages are shared until written.
  SequenceGroup fork() const;

  int64_t sequences() const { return static_cast<int64_t>(states_.size()); }
  int64_t position() const { return states_.front().position(); }  // tokens of each sequence

  // Reads `tokens` more tokens of every sequence and returns the seconds it took; only the last
  // token of each gets logits.
  double prefill(int64_t tokens);
  // `tokens` steps of one token of every sequence, each with logits; returns the seconds.
  double decode(int64_t tokens);

  // Different experts that the next step of decode() reads per layer, in the mean over the layers
  // that have experts; 0 for a model without. Runs the step on a fork, untimed.
  double distinct_experts() const;

 private:
  SequenceGroup(const Model& model, int64_t chunk, std::vector<SequenceState> states);
  void reserve(int64_t tokens);

  const Model* model_;
  int64_t chunk_;
  std::vector<SequenceState> states_;
  StepResult result_;
};

// Bytes of state and of keys and values that `sequences` sequences with room for `tokens` tokens
// each take.
int64_t group_bytes(const StateShape& shape, int64_t sequences, int64_t tokens);

}  // namespace headgate
