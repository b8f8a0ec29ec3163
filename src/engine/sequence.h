// One choice of a request: its tokens, the state that has consumed some of them, and its sampler.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "cache/sequence_state.h"
#include "engine/sequence_drafts.h"
#include "engine/ticket.h"

namespace headgate {

// A sequence without a state waits. With one, it feeds the tokens the state lacks: pieces of the
// prompt, tokens of its own that a preemption made it forget, and at last one token per step.
struct Sequence {
  Sequence(std::shared_ptr<Ticket> request_ticket, int32_t choice_index, int64_t text_tokens);

  const Request& request() const { return ticket->request; }
  int64_t position() const { return state ? state->position() : 0; }
  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  int64_t missing() const { return size() - position(); }  // tokens to feed; at least 1
  int64_t generated() const { return size() - prompt_tokens; }
  bool prefilling() const { return !prompt_done || missing() > 1; }
  // Ahead of `other` when memory is short.
  bool outranks(const Sequence& other) const;

  std::shared_ptr<Ticket> ticket;
  int32_t choice;
  int32_t forks = 0;  // choices that begin where this one's prompt ends
  Sampler sampler;
  std::vector<int32_t> tokens;  // prompt and output
  int64_t prompt_tokens;
  std::optional<SequenceState> state;

  RequestResult result;
  EngineClock::time_point first_step, first_token;
  std::vector<int64_t> checkpoints;  // ascending
  bool begun = false;                // with this state: a cached prefix has been looked for
  bool prompt_done = false;
  int64_t told = 0;            // prompt tokens whose progress and scores the sink has heard
  std::vector<double> pooled;  // sum over rows, with Pooling::kMean
  bool ended = false;          // finished() has been called

  std::unique_ptr<SequenceDrafts> drafts;  // null: none wanted

  // Of the step being computed.
  std::vector<int32_t> drafted;       // follow the last token
  std::vector<int32_t> round;         // the last token and the drafts, when there are any
  std::optional<SampledToken> drawn;  // from the first row that gives a token
  std::exception_ptr draw_error;
  bool sound = true;      // its logits are numbers
  int64_t rows = 0;       // fed, 0: not part of it
  int64_t first_row = 0;  // among the rows of all sequences
  size_t item = 0;        // in the batch
};

}  // namespace headgate
