// What the engine's thread does: admit, plan a step, compute it, hand out what it gave.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "cache/prefix_cache.h"
#include "engine/engine.h"
#include "engine/fair_shares.h"
#include "engine/module_prefixes.h"
#include "engine/named_sessions.h"
#include "engine/prefill_budget.h"
#include "engine/sequence.h"
#include "engine/stored_prefixes.h"
#include "model/model.h"

namespace headgate {

// Owns all sequences and the pool their states lie in. Nothing here knows of threads: see Engine.
class Scheduler {
 public:
  Scheduler(std::shared_ptr<const Model> model, int64_t text_tokens, const EngineOptions& options);

  int64_t context() const { return context_; }
  // That of one request, which says whether it is stretched. Any thread.
  int64_t context_of(const Request& request) const {
    const bool native = !request.stretched.value_or(false) && stretches();
    return native ? std::min(context_, model_->native_context()) : context_;
  }
  // Some requests may be.
  bool stretches() const { return model_->longest_context() > model_->native_context(); }
  bool idle() const { return running_.empty() && waiting_.empty(); }

  void add(const std::shared_ptr<Ticket>& ticket);
  // One step, or less when there is nothing to compute. Errors end requests, never escape.
  void step();
  // Ends everything that is here.
  void end_all(FinishReason reason);
  void set_max_running(int64_t sequences) { options_.max_running = sequences; }
  void forget_prefixes();
  // Cached states on their way to disk and back; also between steps, and last of all.
  StoredPrefixes& stored() { return stored_; }
  NamedSessions& sessions() { return sessions_; }

  // Fills in what it knows.
  void describe(EngineStats& stats) const;
  // Requests that left the queue (began or ended) since the last call, and their prompt tokens.
  struct Left {
    int64_t requests = 0, prompt_tokens = 0;
  };
  Left take_left();

 private:
  using Owned = std::unique_ptr<Sequence>;

  // Before a step.
  void drop_ended();
  void admit();
  bool fits(const Sequence& sequence) const;
  bool start(Owned& sequence);
  int64_t committed_bytes(const Sequence& sequence) const;
  bool displace_for(const Sequence& sequence);
  // Starts from the longest cached prefix; called before the first rows are computed.
  void attach_prefix(Sequence& sequence);
  // Whether another is just reading what this one begins with, and will leave a state behind.
  bool waits_for_prefix(const Sequence& sequence) const;
  // Whether it should wait for a state that is on disk.
  bool waits_for_disk(const Sequence& sequence);
  // Keeps the state where the request or the ladder wants one.
  void checkpoint(Sequence& sequence);
  // Keeps what the drafting module knows after the tokens of `way`, all that the state has.
  void keep_module(Sequence& sequence, std::span<const int32_t> way);
  // Leaves the state to the cache, if it is worth keeping, or drops it.
  void retire_state(Sequence& sequence);
  Sequence* lowest_ranked();
  void preempt(Sequence& victim);
  // Room for `rows` more tokens, at the cost of lower ranked sequences when there must be. False:
  // this one has to wait, or was preempted itself.
  bool reserve(Sequence& sequence, int64_t rows);
  void plan();
  void plan_prompts(const std::vector<Sequence*>& reading, int64_t budget, bool streams);
  int64_t give_rows(Sequence& sequence, int64_t most);
  // One row of a decoding sequence, and drafts where they pay; 0 when there is no room.
  int64_t give_decode_rows(Sequence& sequence);
  // Drafts for the sequences of `order` that decode, as many as pay where `decoding` do.
  void draft_all(const std::vector<Sequence*>& order, int64_t decoding);

  // The step.
  bool compute();
  void deliver();
  void deliver(Sequence& sequence);
  // The first token of every sequence that gets one, drawn by the backend's threads when it pays.
  void draw_all();
  void draw(Sequence& sequence);
  void score(Sequence& sequence, View logits);
  void pool_hidden(Sequence& sequence);
  void finish_prompt(Sequence& sequence, View logits);
  void fork(Sequence& sequence, View logits);
  void begin_fork(Sequence& fork, View logits);
  // Draws from a row of logits and hands the token over; the reason when that ends the choice.
  // `forced`: the token to take instead, where it is not negative.
  std::optional<FinishReason> emit(Sequence& sequence, const float* logits, int32_t forced = -1);
  // emit(), and the end it may bring.
  void emit_last(Sequence& sequence, View logits);
  // Draws as long as the drafts are right, and takes the others back.
  void verify(Sequence& sequence, View logits);
  void feed_module(Sequence& sequence, int64_t rows);
  void make_drafts(Sequence& sequence);
  View logits_of(const Sequence& sequence) const;

  void finish(Sequence& sequence, FinishReason reason);
  void fail_sequence(Sequence& sequence, ErrorCode code, const std::string& message);
  void fail_with(Sequence& sequence, std::exception_ptr error);
  void mark_started(Sequence& sequence);
  void leave_queue(Ticket& ticket);
  void sweep();  // forgets sequences that have ended

  std::shared_ptr<const Model> model_;
  int64_t text_tokens_;
  EngineOptions options_;
  StatePool pool_;
  PrefixCache prefixes_;  // after the pool its states lie in
  StoredPrefixes stored_;
  NamedSessions sessions_;
  std::unique_ptr<DraftModule> module_;            // null: the model has none, or nobody drafts
  std::optional<ModulePrefixes> module_prefixes_;  // with module_, and after it
  DraftControl draft_history_;                     // of all texts
  std::vector<DraftModule::Chain> chains_;
  std::vector<Sequence*> chained_;  // whose they are
  int64_t context_;
  int64_t score_rows_;  // of one step, so that their logits stay small
  PrefillBudget budget_;
  std::vector<DraftControl> together_;  // turns of joint depths, by sequences in a step
  std::vector<StepCosts> costs_;  // of plain rounds and rounds with drafts, by sequences in a step
  FairShares shares_;
  std::vector<Owned> waiting_, running_;
  std::vector<Owned> born_;  // forks of this step
  std::vector<Sequence*> planned_;
  std::vector<BatchItem> items_;
  StepResult result_;
  EngineStats totals_;
  Left left_;
};

}  // namespace headgate
