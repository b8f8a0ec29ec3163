// Whose states lie in memory: admission, cached prefixes, preemption.
#include <algorithm>

#include "base/log.h"
#include "engine/scheduler.h"

namespace headgate {
namespace {

// A cached state that saves fewer tokens is not worth its memory.
constexpr int64_t kLeastSaved = 8;
// Tokens that are worth waiting for another to read them.
constexpr int64_t kWorthWaiting = 64;

}  // namespace

int64_t Scheduler::committed_bytes(const Sequence& sequence) const {
  const StateShape& shape = pool_.shape();
  // One page ahead, so that a sequence is not preempted as soon as it has begun.
  const int64_t page = shape.kv.page_tokens;
  const int64_t pages = (sequence.size() + page - 1) / page + 1;
  return shape.recurrent_bytes() + pages * shape.page_bytes();
}

bool Scheduler::fits(const Sequence& sequence) const {
  if (running_.empty()) return true;
  if (static_cast<int64_t>(running_.size()) >= options_.max_running) return false;
  int64_t committed = committed_bytes(sequence);
  for (const Owned& other : running_) committed += committed_bytes(*other);
  return committed <= pool_.budget_bytes() - pool_.other_bytes();
}

bool Scheduler::displace_for(const Sequence& sequence) {
  Sequence* victim = lowest_ranked();
  if (victim == nullptr || victim->request().priority >= sequence.request().priority) return false;
  preempt(*victim);
  return true;
}

bool Scheduler::start(Owned& sequence) {
  std::optional<SequenceState> state = pool_.create();
  while (!state && stored_.free_memory()) state = pool_.create();
  if (!state) return false;
  sequence->state.emplace(std::move(*state));
  sequence->begun = false;
  running_.push_back(std::move(sequence));
  return true;
}

Sequence* Scheduler::lowest_ranked() {
  Sequence* lowest = nullptr;
  for (const Owned& sequence : running_) {
    if (!sequence->ended && (lowest == nullptr || lowest->outranks(*sequence)))
      lowest = sequence.get();
  }
  return lowest;
}

void Scheduler::preempt(Sequence& victim) {
  const auto at = std::find_if(running_.begin(), running_.end(),
                               [&](const Owned& sequence) { return sequence.get() == &victim; });
  HEADGATE_CHECK(at != running_.end() && victim.rows == 0);
  log_debug("engine: request {} gives up the state of {} tokens", victim.ticket->id,
            victim.position());
  retire_state(victim);
  if (!victim.prompt_done) victim.pooled.clear();
  if (victim.drafts != nullptr) victim.drafts->follow(false);
  ++victim.result.preemptions;
  ++totals_.preemptions;
  waiting_.push_back(std::move(*at));
  running_.erase(at);
}

bool Scheduler::reserve(Sequence& sequence, int64_t rows) {
  while (!sequence.state->reserve(rows)) {
    if (stored_.free_memory()) continue;
    Sequence* victim = lowest_ranked();
    if (victim->rows > 0) return false;  // computed in this step: next time
    if (running_.size() == 1) {
      fail_sequence(sequence, ErrorCode::kResourceExhausted,
                    fmt::format("key-value cache: no room for {} more tokens after {}", rows,
                                sequence.position()));
      return false;
    }
    preempt(*victim);
    if (victim == &sequence) return false;
  }
  return true;
}

bool Scheduler::waits_for_disk(const Sequence& sequence) {
  const Request& request = sequence.request();
  const bool whole = request.prompt_logprobs >= 0 || request.pooling == Pooling::kMean;
  if (!options_.prefix_cache || !request.reuse_prefix || (whole && !sequence.prompt_done))
    return false;
  int64_t room = pool_.budget_bytes() - pool_.other_bytes();
  for (const Owned& other : running_) {
    // Those that wait themselves have nothing yet, and will share what is read.
    room -= other->begun ? committed_bytes(*other) : pool_.shape().recurrent_bytes();
  }
  const double speed = budget_.tokens_per_second();
  return stored_.awaits(request.cache_salt, sequence.tokens, sequence.size() - 1, room,
                        speed > 0 ? 1 / speed : 0);
}

void Scheduler::attach_prefix(Sequence& sequence) {
  sequence.begun = true;
  const Request& request = sequence.request();
  // Scores and means need every row of the prompt.
  const bool whole = request.prompt_logprobs >= 0 || request.pooling == Pooling::kMean;
  if (options_.prefix_cache && request.reuse_prefix && !(whole && !sequence.prompt_done)) {
    PrefixCache::Match match =
        prefixes_.find(request.cache_salt, sequence.tokens, sequence.size() - 1);
    int64_t cached = 0;
    if (match.snapshot && match.position >= kLeastSaved &&
        sequence.state->restore(*match.snapshot)) {
      cached = sequence.state->rewind(match.position);
      HEADGATE_CHECK(cached == match.position);
    }
    if (cached > 0 && sequence.drafts != nullptr && sequence.drafts->follows())
      module_prefixes_->find(request.cache_salt, sequence.tokens, cached,
                             *sequence.drafts->drafter());
    if (sequence.first_step == EngineClock::time_point{}) {
      sequence.result.cached_tokens = cached;
      sequence.result.miss_position = std::min(match.common, sequence.prompt_tokens);
      sequence.result.from_disk =
          cached > 0 && cached == stored_.fetched(request.cache_salt, sequence.tokens);
    }
  }
  mark_started(sequence);
}

bool Scheduler::waits_for_prefix(const Sequence& sequence) const {
  const Request& request = sequence.request();
  if (!options_.prefix_cache || !request.reuse_prefix || request.prompt_logprobs >= 0) return false;
  for (const Owned& other : running_) {
    const Request& theirs = other->request();
    if (!other->begun || other->prompt_done || !other->state || !theirs.reuse_prefix ||
        theirs.cache_salt != request.cache_salt || theirs.priority < request.priority)
      continue;
    for (const int64_t at : other->checkpoints) {
      if (at <= other->position() || at < kWorthWaiting) continue;
      if (at >= sequence.size() ||
          !std::equal(sequence.tokens.begin(), sequence.tokens.begin() + at, other->tokens.begin()))
        break;
      const std::span<const int32_t> way =
          std::span(sequence.tokens).first(static_cast<size_t>(at));
      if (at - prefixes_.nearest(request.cache_salt, way) >= kWorthWaiting) return true;
    }
  }
  return false;
}

void Scheduler::checkpoint(Sequence& sequence) {
  const int64_t position = sequence.position();
  const Request& request = sequence.request();
  if (!options_.prefix_cache || !request.reuse_prefix ||
      !std::binary_search(sequence.checkpoints.begin(), sequence.checkpoints.end(), position))
    return;
  const std::span<const int32_t> way =
      std::span(sequence.tokens).first(static_cast<size_t>(position));
  if (prefixes_.touch(request.cache_salt, way)) return keep_module(sequence, way);
  if (position - prefixes_.nearest(request.cache_salt, way) < kLeastSaved) return;
  std::optional<Snapshot> snapshot = sequence.state->snapshot();
  while (!snapshot && stored_.free_memory()) snapshot = sequence.state->snapshot();
  if (snapshot) prefixes_.insert(request.cache_salt, way, std::move(*snapshot));
  keep_module(sequence, way);
}

void Scheduler::keep_module(Sequence& sequence, std::span<const int32_t> way) {
  if (sequence.drafts == nullptr || !sequence.drafts->follows()) return;
  module_prefixes_->keep(sequence.request().cache_salt, way, *sequence.drafts->drafter());
}

void Scheduler::retire_state(Sequence& sequence) {
  if (!sequence.state) return;
  const int64_t position = sequence.position();
  const Request& request = sequence.request();
  const std::span<const int32_t> way =
      std::span(sequence.tokens).first(static_cast<size_t>(position));
  const bool kept = options_.prefix_cache && request.reuse_prefix &&
                    !prefixes_.touch(request.cache_salt, way) &&
                    position - prefixes_.nearest(request.cache_salt, way) >= kLeastSaved;
  if (kept) prefixes_.insert(request.cache_salt, way, std::move(*sequence.state).freeze());
  if (kept) keep_module(sequence, way);
  sequence.state.reset();
}

}  // namespace headgate
