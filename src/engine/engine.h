// The engine: many requests at once on one model, by one thread that owns all their states.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/error.h"
#include "cache/disk_tier.h"
#include "engine/draft_control.h"
#include "engine/request.h"
#include "model/model.h"

namespace headgate {

struct SessionAsk;  // engine/named_sessions.h

struct EngineOptions {
  int64_t context = 0;           // most tokens of prompt and output together; 0: the model's own
  DType kv_dtype = DType::kF32;  // see default_kv_dtype()
  // KV pages, recurrent states and cached prefixes of everybody together; 0: a quarter of the
  // memory available now, at least what one full context and eight states need. The context is cut
  // to what one sequence can have of it.
  int64_t state_budget_bytes = 0;
  int64_t max_running = 128;  // sequences in one step

  // Bounds of the queue: beyond either of them submit() throws Overloaded.
  int64_t max_waiting_requests = 1024;
  int64_t max_waiting_tokens = 4 << 20;  // of their prompts

  // Most prompt tokens of a step; 0: default_prefill_chunk().
  int64_t prefill_chunk = 0;
  // While others stream, prompts make a step last about this many times one without any: each step,
  // or the mean of many where these are very short.
  double prefill_slowdown = 1.75;
  int64_t drafts = -1;         // the most that a request gets; 0: no drafting, and no memory for it
  DraftOptions drafting = {};  // how they are drawn

  bool prefix_cache = true;
  int64_t checkpoint_every = 4096;  // prompt tokens between states kept for prefix reuse
  // What cached states become, least valuable first, before they are dropped for want of memory. A
  // prompt that starts from a packed one gets the answer of a rounded state.
  StateFormat cold_states = StateFormat::kF32;
  // A folder for cached states beyond memory and restarts, and the most it may hold; empty: none.
  std::string cache_folder = "";
  int64_t cache_disk_bytes = int64_t{32} << 30;
  // What the bits of a state depend on besides the configuration: weights, build, kernels. States
  // of another identity are not served; see model_identity().
  std::string model_identity = "";

  // For tests of failures: called before every step; what it throws fails the step.
  std::function<void()> before_step = nullptr;
  // For benchmarks of drafting with any acceptance: whether the draft at a place (0: the first) is
  // kept, whatever the model says there. All else, drafts and rows, is computed as ever.
  std::function<bool(const Request& request, int64_t place)> keep_draft = nullptr;
};

// Thrown by submit() when the engine takes no more for now.
class Overloaded : public Error {
 public:
  Overloaded(const std::string& message, double retry_after_seconds, bool draining)
      : Error(ErrorCode::kResourceExhausted, message),
        retry_after_seconds_(retry_after_seconds),
        draining_(draining) {}
  double retry_after_seconds() const { return retry_after_seconds_; }  // when trying again may help
  bool draining() const { return draining_; }  // the engine shuts down: it will not

 private:
  double retry_after_seconds_;
  bool draining_;
};

// Totals count since the engine was made; the rest is as of the last step.
struct EngineStats {
  int64_t running = 0;         // sequences with a state
  int64_t prefilling = 0;      // of these, still reading their prompt
  int64_t waiting = 0;         // sequences without one, preempted ones included
  int64_t waiting_tokens = 0;  // of their prompts
  int64_t state_bytes = 0;     // in use by running sequences and cached prefixes
  int64_t state_budget_bytes = 0;
  int64_t cached_prefixes = 0;      // states kept for reuse
  int64_t cached_prefix_bytes = 0;  // their recurrent states; pages are shared
  int64_t packed_prefixes = 0;      // of them, in less memory; see EngineOptions::cold_states
  bool draining = false;
  // 0 while nothing runs; else how long the running step has taken so far. A watchdog's figure.
  double step_age_seconds = 0;

  int64_t steps = 0;
  int64_t requests = 0;       // accepted
  int64_t shed = 0;           // refused with Overloaded
  int64_t finished[6] = {};   // choices, by FinishReason
  int64_t prompt_tokens = 0;  // of started requests
  int64_t cached_tokens = 0;  // of these, not computed
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;
  int64_t evicted_prefixes = 0;
  int64_t replayed_tokens = 0;  // of prompts: known to the cache, and computed again all the same
  int64_t disk_cached_tokens = 0;  // of cached_tokens, from states read from disk for the request
  DiskTierStats disk;              // all zero without a folder
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;
  // The same by place in the chain: the first draft, the second, ...
  std::array<int64_t, kMostDrafts> drafted_at{}, accepted_at{};
  int64_t draft_rounds = 0;             // sequences times steps that verified drafts
  double draft_seconds = 0;             // spent in the drafting module; not part of busy_seconds
  double busy_seconds = 0;              // spent in steps
  double recent_tokens_per_second = 0;  // generated, over about the last ten seconds of work
};

using RequestId = uint64_t;

// Takes requests from any thread and computes them on its own, as many at once as fit the memory.
//
// - Every answer is that of the request alone: neighbours, order, preemption and drafting change no
//   bit of its logits.
// - Steps mix decoding rows and pieces of prompts; see EngineOptions::prefill_slowdown.
// - Order: larger priority first; then the share key that was served least; then arrival, where
//   short prompts may pass long ones.
// - An error in a step (memory, a device) fails the requests of that step; logits that are not
//   numbers fail theirs. The engine goes on.
//
// Thread rule: every method from any thread, also from a sink, except drain() and the destructor
// (not from a sink). The backend of `model` is used by this engine alone.
class Engine {
 public:
  // `text_tokens` as in Sampler. Throws kInvalidArgument for options out of range and
  // kResourceExhausted when the budget cannot hold one sequence of two pages.
  Engine(std::shared_ptr<const Model> model, int64_t text_tokens, const EngineOptions& options);
  // Ends everything with kCancelled; every accepted request has had its finished() then.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues a request. Throws, without a call to the sink: kInvalidArgument for a prompt that is
  // empty, has an unknown token or does not fit the context (both numbers named) and for parameters
  // out of range; Overloaded when the queue is full or the engine drains. Takes microseconds.
  RequestId submit(Request request, std::shared_ptr<RequestSink> sink);
  // Ends all choices with kCancelled after the running step at the latest; a step that computes
  // only cancelled requests is broken off between layers. Unknown or finished ids are ignored.
  void cancel(RequestId id);

  // Drops all cached prefixes before the next step.
  void forget_prefixes();

  // Keeps the longest cached state of a prompt in a file (kResourceExhausted where there is none
  // any more); takes one from a file into the cache, where requests of its salt find it. Both
  // answer through `ask.done`, also when the engine ends. Needs options.model_identity. Throws
  // Overloaded when too many wait or the engine drains.
  void save_session(SessionAsk ask);
  void load_session(SessionAsk ask);

  // Changes EngineOptions::max_running and max_waiting_requests (each 1 or more) from the next step
  // and request on; what runs or waits already stays.
  void set_limits(int64_t max_running, int64_t max_waiting_requests);

  EngineStats stats() const;
  int64_t context() const;  // the most tokens of prompt and output that a request can have
  const Model& model() const;

  // From now on submit() throws Overloaded with draining() set.
  void stop_accepting();
  // stop_accepting(), then waits until all requests have finished; those that have not by
  // `deadline` are cancelled. True when none had to be.
  bool drain(std::chrono::steady_clock::time_point deadline);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate
