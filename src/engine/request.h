// What is asked of the engine, and who hears the answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/outcome.h"
#include "sampling/sampler.h"

namespace headgate {

class TokenConstraint;  // sampling/token_constraint.h

enum class Pooling { kNone, kLast, kMean };  // of the final hidden states over the prompt

// One prompt and one or more answers to it.
struct Request {
  std::vector<int32_t> prompt;  // at least one id, all in [0, vocabulary)
  SamplingParams sampling;      // choice c draws with sampling.seed + c
  int64_t max_tokens = -1;      // of each choice; -1: until the context is full; 0: prompt only
  std::vector<int32_t> stop_tokens;  // end a choice and are not part of it
  int32_t choices = 1;               // answers to the one prompt, which is read once
  // Which tokens may follow; null: all. A choice ends with kStop where it allows an end token only.
  std::shared_ptr<const TokenConstraint> constraint;

  // n >= 0: the log-probability of every prompt token but the first and of the n likeliest in its
  // place go to RequestSink::scored(). Such prompts are computed whole (nothing cached is used).
  int32_t prompt_logprobs = -1;
  // Embeddings: the pooled hidden state is in the result; needs max_tokens 0.
  Pooling pooling = Pooling::kNone;

  int64_t drafts = -1;   // tokens drafted per step: 0 none, -1 as many as pay. Never changes a text
  int32_t priority = 0;  // larger goes first, and may displace smaller when memory is short
  std::string share_key;  // who shares: speed is divided fairly between different keys
  // Past the deadline a request ends with kDeadline, wherever it is.
  std::optional<std::chrono::steady_clock::time_point> deadline;

  // Where the model stretches contexts (LoadOptions::yarn_factor): whether this one is; not set: if
  // prompt and max_tokens are more than the native context. Cached prefixes are of one kind only.
  std::optional<bool> stretched;
  bool reuse_prefix = true;  // start from what earlier requests left of the same beginning
  std::string cache_salt;    // prefixes are shared among requests with equal salts only
  // Prompt lengths at which the state is worth keeping: ends of the system prompt, of each message.
  // The engine adds some of its own. Out of range or unsorted is fine.
  std::vector<int64_t> checkpoints;
};

struct RequestStart {
  double queue_seconds = 0;   // from submit to the first step
  int64_t prompt_tokens = 0;  // all of them
  int64_t cached_tokens = 0;  // of these, taken from the prefix cache
  int64_t miss_position = 0;  // see RequestResult
  bool from_disk = false;     // the cached state was read from disk for this request
};

// Of one choice. Times and prompt figures are the request's.
struct RequestResult {
  FinishReason reason = FinishReason::kStop;
  ErrorCode error = ErrorCode::kInternal;  // when reason is kFailed
  std::string message;                     // the error in one line
  int32_t stop_token = -1;                 // the one that ended it; -1: none did

  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  // The prompt's first token that no cached prefix of this salt has: where reuse would end at best.
  int64_t miss_position = 0;
  bool from_disk = false;  // the cached state was read from disk for this request
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;  // times it lost its state for want of memory and was computed again

  double queue_seconds = 0;    // submit to first step
  double prefill_seconds = 0;  // first step to the first token
  double decode_seconds = 0;   // from there to the end
  DraftStats drafts;
  std::vector<float> embedding;  // [hidden_size], with pooling; not normalised to length 1
};

// Receives one request's answer. Every call comes from the engine's thread, in this order:
// started, any of (progress, scored), then tokens and finished by choice. A request that ends while
// it waits gets finished() alone. Calls must not block and should take microseconds: every stream
// waits for them. They may call Engine::submit() and cancel(). An exception ends the request with
// kFailed.
class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual void started(const RequestStart&) {}
  // Prompt tokens in the state so far, cached ones included, after each step that read some.
  virtual void progress(int64_t /*done*/, int64_t /*total*/) {}
  // With prompt_logprobs: of prompt tokens first, first + 1, ... in order; first >= 1.
  virtual void scored(int64_t /*first*/, std::span<const SampledToken> /*tokens*/) {}
  // New tokens of a choice, at least one, without the stop token. False ends the choice with kStop
  // after the last of them.
  virtual bool tokens(int32_t choice, std::span<const SampledToken> tokens) = 0;
  // Once per choice, its last call. The engine lets go of the sink after that of the last choice.
  virtual void finished(int32_t choice, const RequestResult& result) = 0;
};

}  // namespace headgate
