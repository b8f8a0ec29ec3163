// Computing a step and handing out what it gave.
#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "base/thread_pool.h"
#include "engine/prompt_scores.h"
#include "engine/scheduler.h"

namespace headgate {
namespace {

// Logits to draw from in a step, from which on several threads share them.
constexpr int64_t kWorthThreads = 1 << 12;
constexpr double kRecentSeconds = 10;
constexpr std::chrono::milliseconds kReadWait{5};  // while nothing else is to be done

// The exponents of NaN and infinity are all ones.
bool is_number(std::span<const float> logits) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t bad = 0;
  for (const float logit : logits)
    bad |= (std::bit_cast<uint32_t>(logit) & kExponent) == kExponent ? 1u : 0u;
  return bad == 0;
}

}  // namespace

void Scheduler::step() {
  stored_.tend();
  sessions_.tend();
  drop_ended();
  admit();
  plan();
  if (planned_.empty()) {
    if (stored_.is_reading()) {
      stored_.wait(kReadWait);
    } else if (sessions_.is_busy()) {
      sessions_.wait(kReadWait);
    }
    return sweep();
  }
  const auto begun = EngineClock::now();
  const int64_t generated = totals_.generated_tokens;
  if (compute()) deliver();
  for (Sequence* sequence : planned_) sequence->rows = 0;
  const double seconds = std::max(seconds_between(begun, EngineClock::now()), 1e-9);
  const double kept = std::exp(-seconds / kRecentSeconds);
  double& rate = totals_.recent_tokens_per_second;
  rate = kept * rate +
         (1 - kept) * static_cast<double>(totals_.generated_tokens - generated) / seconds;
  for (Owned& sequence : born_)
    (sequence->state ? running_ : waiting_).push_back(std::move(sequence));
  born_.clear();
  sweep();
}

bool Scheduler::compute() {
  items_.clear();
  result_.keep_hidden = false;
  int64_t row = 0, decoding = 0, decode_rows = 0, prompt_rows = 0;
  for (Sequence* sequence : planned_) {
    const int64_t from = sequence->position(), to = from + sequence->rows;
    const bool drafted = !sequence->drafted.empty();
    const bool scored = sequence->request().prompt_logprobs >= 0 && from < sequence->prompt_tokens;
    const bool last = to == sequence->size() || to == sequence->prompt_tokens;
    sequence->item = items_.size();
    sequence->first_row = row;
    const std::span<const int32_t> tokens =
        drafted ? std::span<const int32_t>(sequence->round)
                : std::span<const int32_t>(sequence->tokens)
                      .subspan(static_cast<size_t>(from), static_cast<size_t>(sequence->rows));
    items_.push_back(
        {&*sequence->state, tokens,
         drafted || scored ? LogitRows::kAll : (last ? LogitRows::kLast : LogitRows::kNone),
         drafted, sequence->request().stretched.value_or(false)});
    row += sequence->rows;
    if (sequence->prefilling()) {
      prompt_rows += sequence->rows;
    } else {
      ++decoding;
      decode_rows += sequence->rows;
    }
    if (sequence->request().pooling != Pooling::kNone ||
        (sequence->drafts != nullptr && sequence->drafts->follows()))
      result_.keep_hidden = true;
  }
  const auto begun = EngineClock::now();
  try {
    if (options_.before_step) options_.before_step();
    model_->forward(items_, result_);
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    for (Sequence* sequence : planned_) {
      sequence->state.reset();  // perhaps half written
      if (sequence->ticket->cancelled) {
        finish(*sequence, FinishReason::kCancelled);
      } else {
        fail_with(*sequence, error);
      }
    }
    return false;
  }
  const double seconds = seconds_between(begun, EngineClock::now());
  budget_.record(decoding, prompt_rows, seconds);
  if (prompt_rows == 0 && decoding < static_cast<int64_t>(costs_.size()))
    costs_[static_cast<size_t>(decoding)].record_step((decode_rows + decoding / 2) / decoding,
                                                      seconds);
  ++totals_.steps;
  totals_.busy_seconds += seconds;
  return true;
}

View Scheduler::logits_of(const Sequence& sequence) const {
  const auto all = static_cast<int64_t>(result_.logits.size()) / result_.vocabulary;
  const int64_t first = result_.first_row[sequence.item];
  const int64_t end =
      sequence.item + 1 < result_.first_row.size() ? result_.first_row[sequence.item + 1] : all;
  return {result_.logits.data() + first * result_.vocabulary, end - first, result_.vocabulary};
}

// Looks at a sequence's logits and draws from them what can be drawn without its neighbours.
void Scheduler::draw(Sequence& sequence) {
  const View logits = logits_of(sequence);
  sequence.drawn.reset();
  sequence.draw_error = nullptr;
  sequence.sound = is_number({logits.data, static_cast<size_t>(logits.rows * logits.cols)});
  const bool gives = !sequence.drafted.empty() || sequence.position() == sequence.size();
  if (!sequence.sound || !gives || sequence.request().max_tokens == 0) return;
  const float* row = logits.row(sequence.drafted.empty() ? logits.rows - 1 : 0);
  try {
    sequence.drawn = sequence.sampler.sample({row, static_cast<size_t>(logits.cols)});
  } catch (...) {
    sequence.draw_error = std::current_exception();
  }
}

void Scheduler::draw_all() {
  const auto count = static_cast<int64_t>(planned_.size());
  ThreadPool* const pool = model_->backend().pool();
  if (pool == nullptr || count * text_tokens_ < kWorthThreads) {
    for (Sequence* sequence : planned_) draw(*sequence);
    return;
  }
  pool->run(count, [&](int64_t i, int) { draw(*planned_[static_cast<size_t>(i)]); });
}

void Scheduler::deliver() {
  draw_all();
  for (Sequence* sequence : planned_) {
    FairShares::serve(*sequence->ticket, sequence->rows);
    try {
      deliver(*sequence);
    } catch (...) {
      fail_with(*sequence, std::current_exception());
    }
  }
}

void Scheduler::deliver(Sequence& sequence) {
  const View logits = logits_of(sequence);
  if (!sequence.sound) {
    return fail_sequence(sequence, ErrorCode::kInternal,
                         "logits: found values that are no numbers, expected finite ones");
  }
  if (!sequence.drafted.empty()) return verify(sequence, logits);
  const int64_t position = sequence.position();
  feed_module(sequence, sequence.rows);
  if (!sequence.prompt_done) {
    if (sequence.request().prompt_logprobs >= 0) score(sequence, logits);
    if (sequence.request().pooling != Pooling::kNone) pool_hidden(sequence);
    checkpoint(sequence);
    // What is computed a second time, after a preemption or for another choice, was told before.
    if (sequence.choice == 0 && position > sequence.told)
      sequence.ticket->sink->progress(position, sequence.prompt_tokens);
    sequence.told = std::max(sequence.told, position);
    if (position < sequence.prompt_tokens) return;
    return finish_prompt(sequence, logits);
  }
  if (position < sequence.size()) return;
  ++sequence.result.drafts.steps;
  emit_last(sequence, logits);
}

void Scheduler::feed_module(Sequence& sequence, int64_t rows) {
  if (sequence.drafts == nullptr || !sequence.drafts->follows()) return;
  const int64_t size = result_.hidden_size;
  const View hidden{result_.hidden.data() + sequence.first_row * size, rows, size};
  const int64_t end = sequence.drafted.empty() ? sequence.position() : 0;
  // Tokens that a round of drafts confirms are told one by one as they are drawn.
  std::span<const int32_t> next;
  if (end > 0) {
    const int64_t known = std::min(end + 1, sequence.size());
    next = std::span<const int32_t>(sequence.tokens)
               .subspan(static_cast<size_t>(end - rows + 1),
                        static_cast<size_t>(known - (end - rows + 1)));
  }
  const bool reading =
      sequence.drafted.empty() && (!sequence.prompt_done || sequence.missing() > 0);
  sequence.drafts->add_rows(hidden, next, reading);
}

void Scheduler::verify(Sequence& sequence, View logits) {
  const auto drafts = static_cast<int64_t>(sequence.drafted.size());
  const int64_t before = sequence.position() - sequence.rows;
  const auto forced = [&](int64_t place) {
    return options_.keep_draft && place < drafts && options_.keep_draft(sequence.request(), place)
               ? sequence.drafted[static_cast<size_t>(place)]
               : -1;
  };
  int64_t accepted = 0;
  int32_t choice = forced(0);
  std::optional<FinishReason> end = emit(sequence, logits.row(0), choice);
  // Forced or drawn, a draft stays when its token is the text's.
  while (!end && accepted < drafts && (!options_.keep_draft || choice >= 0) &&
         sequence.tokens.back() == sequence.drafted[static_cast<size_t>(accepted)]) {
    ++accepted;
    choice = forced(accepted);
    end = emit(sequence, logits.row(accepted), choice);
  }
  const int64_t reached = sequence.state->rewind(before + 1 + accepted);
  HEADGATE_CHECK(reached == before + 1 + accepted);
  feed_module(sequence, 1 + accepted);
  sequence.drafts->record(drafts, accepted, end.has_value(), sequence.result.drafts);
  draft_history_.record_round(sequence.drafts->source(), end ? accepted : drafts, accepted);
  ++sequence.result.drafts.steps;
  totals_.drafted_tokens += drafts;
  totals_.accepted_tokens += accepted;
  ++totals_.draft_rounds;
  for (int64_t place = 0; place < drafts; ++place) {
    ++totals_.drafted_at[static_cast<size_t>(place)];
    totals_.accepted_at[static_cast<size_t>(place)] += place < accepted ? 1 : 0;
  }
  if (end) finish(sequence, *end);
}

void Scheduler::score(Sequence& sequence, View logits) {
  if (sequence.choice != 0) return;
  const int64_t end = sequence.position(), row_0 = end - sequence.rows + 1;
  const int64_t first = std::max(row_0, sequence.told + 1);
  std::vector<SampledToken> scores;
  for (int64_t t = first; t <= std::min(end, sequence.prompt_tokens - 1); ++t) {
    scores.push_back(score_token({logits.row(t - row_0), static_cast<size_t>(logits.cols)},
                                 text_tokens_, sequence.tokens[static_cast<size_t>(t)],
                                 sequence.request().prompt_logprobs));
  }
  if (!scores.empty()) sequence.ticket->sink->scored(first, scores);
}

void Scheduler::pool_hidden(Sequence& sequence) {
  const int64_t size = result_.hidden_size;
  const View hidden{result_.hidden.data() + sequence.first_row * size, sequence.rows, size};
  if (sequence.request().pooling == Pooling::kLast) {
    const float* last = hidden.row(hidden.rows - 1);
    sequence.pooled.assign(last, last + size);
    return;
  }
  sequence.pooled.resize(static_cast<size_t>(size), 0.0);
  for (int64_t row = 0; row < hidden.rows; ++row) {
    for (int64_t i = 0; i < size; ++i)
      sequence.pooled[static_cast<size_t>(i)] += static_cast<double>(hidden.row(row)[i]);
  }
}

void Scheduler::finish_prompt(Sequence& sequence, View logits) {
  sequence.prompt_done = true;
  const Request& request = sequence.request();
  if (request.pooling != Pooling::kNone) {
    const double rows =
        request.pooling == Pooling::kMean ? static_cast<double>(sequence.prompt_tokens) : 1.0;
    for (const double sum : sequence.pooled)
      sequence.result.embedding.push_back(static_cast<float>(sum / rows));
  }
  sequence.first_token = EngineClock::now();
  fork(sequence, logits);
  if (request.max_tokens == 0) return finish(sequence, FinishReason::kLength);
  if (sequence.drafts != nullptr) sequence.drafts->begin(sequence.tokens);
  emit_last(sequence, logits);
}

void Scheduler::fork(Sequence& sequence, View logits) {
  while (sequence.forks > 0) {
    const int32_t choice = sequence.request().choices - sequence.forks;
    born_.push_back(std::make_unique<Sequence>(sequence.ticket, choice, text_tokens_));
    --sequence.forks;
    Sequence& fork = *born_.back();
    make_drafts(fork);
    fork.checkpoints = sequence.checkpoints;
    fork.first_step = sequence.first_step;
    fork.result.cached_tokens = sequence.result.cached_tokens;
    fork.result.miss_position = sequence.result.miss_position;
    fork.result.from_disk = sequence.result.from_disk;
    fork.result.queue_seconds = sequence.result.queue_seconds;
    std::optional<SequenceState> state;
    if (static_cast<int64_t>(running_.size() + born_.size()) <= options_.max_running) {
      state = sequence.state->fork();
      while (!state && stored_.free_memory()) state = sequence.state->fork();
    }
    if (!state) continue;  // it waits, and reads the prompt again
    fork.state.emplace(std::move(*state));
    if (fork.drafts != nullptr && sequence.drafts != nullptr)
      fork.drafts->follow_as(*sequence.drafts);
    begin_fork(fork, logits);
  }
}

void Scheduler::begin_fork(Sequence& fork, View logits) {
  fork.begun = fork.prompt_done = true;
  fork.first_token = EngineClock::now();
  if (fork.request().max_tokens == 0) return finish(fork, FinishReason::kLength);
  if (fork.drafts != nullptr) fork.drafts->begin(fork.tokens);
  try {
    emit_last(fork, logits);
  } catch (...) {
    fail_with(fork, std::current_exception());
  }
}

void Scheduler::emit_last(Sequence& sequence, View logits) {
  if (const auto end = emit(sequence, logits.row(logits.rows - 1))) finish(sequence, *end);
}

std::optional<FinishReason> Scheduler::emit(Sequence& sequence, const float* logits,
                                            int32_t forced) {
  const Request& request = sequence.request();
  if (sequence.draw_error) std::rethrow_exception(std::exchange(sequence.draw_error, nullptr));
  SampledToken sampled =
      sequence.drawn ? *std::exchange(sequence.drawn, std::nullopt)
                     : sequence.sampler.sample({logits, static_cast<size_t>(result_.vocabulary)});
  if (forced >= 0) {
    sequence.sampler.uncount(1);
    sequence.sampler.count(forced);
    sampled.token = forced;
  }
  const auto& stops = request.stop_tokens;
  if (std::find(stops.begin(), stops.end(), sampled.token) != stops.end()) {
    sequence.result.stop_token = sampled.token;
    return FinishReason::kStop;
  }
  sequence.tokens.push_back(sampled.token);
  if (sequence.drafts != nullptr) sequence.drafts->add_token(sampled.token);
  ++totals_.generated_tokens;
  if (!sequence.ticket->sink->tokens(sequence.choice, {&sampled, 1})) return FinishReason::kStop;
  const ConstraintState* constraint = sequence.sampler.constraint();
  if (constraint != nullptr && constraint->is_complete()) return FinishReason::kStop;
  if (sequence.generated() == request.max_tokens) return FinishReason::kLength;
  if (sequence.size() >= context_of(request)) return FinishReason::kContext;
  return std::nullopt;
}

void Scheduler::mark_started(Sequence& sequence) {
  if (sequence.first_step != EngineClock::time_point{}) return;  // resumed
  sequence.first_step = EngineClock::now();
  Ticket& ticket = *sequence.ticket;
  leave_queue(ticket);
  sequence.result.queue_seconds = seconds_between(ticket.submitted, sequence.first_step);
  totals_.prompt_tokens += sequence.prompt_tokens;
  totals_.cached_tokens += sequence.result.cached_tokens;
  totals_.replayed_tokens += sequence.result.miss_position - sequence.result.cached_tokens;
  if (sequence.result.from_disk) totals_.disk_cached_tokens += sequence.result.cached_tokens;
  try {
    ticket.sink->started({sequence.result.queue_seconds, sequence.prompt_tokens,
                          sequence.result.cached_tokens, sequence.result.miss_position,
                          sequence.result.from_disk});
  } catch (...) {
    fail_with(sequence, std::current_exception());
  }
}

void Scheduler::leave_queue(Ticket& ticket) {
  if (ticket.started) return;
  ticket.started = true;
  ++left_.requests;
  left_.prompt_tokens += static_cast<int64_t>(ticket.request.prompt.size());
}

void Scheduler::finish(Sequence& sequence, FinishReason reason) {
  HEADGATE_CHECK(!sequence.ended);
  sequence.ended = true;
  if (reason != FinishReason::kFailed) retire_state(sequence);
  sequence.state.reset();
  const auto now = EngineClock::now();
  RequestResult& result = sequence.result;
  result.reason = reason;
  result.generated_tokens = sequence.generated();
  const EngineClock::time_point unset{};
  if (sequence.first_step == unset) {
    result.queue_seconds = seconds_between(sequence.ticket->submitted, now);
  } else {
    const auto read = sequence.first_token == unset ? now : sequence.first_token;
    result.prefill_seconds = seconds_between(sequence.first_step, read);
    result.decode_seconds = seconds_between(read, now);
  }
  Ticket& ticket = *sequence.ticket;
  const int32_t choices = 1 + sequence.forks;  // those that were never begun end with it
  for (int32_t i = 0; i < choices; ++i) {
    ++totals_.finished[static_cast<size_t>(reason)];
    try {
      ticket.sink->finished(sequence.choice + i, result);
    } catch (const std::exception& e) {
      log_warning("engine: the receiver of request {}: {}", ticket.id, e.what());
    }
  }
  ticket.open_choices -= choices;
  if (ticket.open_choices > 0) return;
  leave_queue(ticket);
  shares_.remove(ticket);
  ticket.sink.reset();
}

void Scheduler::fail_sequence(Sequence& sequence, ErrorCode code, const std::string& message) {
  if (sequence.ended) return;
  log_warning("engine: request {} failed: {}", sequence.ticket->id, message);
  sequence.result.error = code;
  sequence.result.message = message;
  finish(sequence, FinishReason::kFailed);
}

void Scheduler::fail_with(Sequence& sequence, std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    fail_sequence(sequence, e.code(), e.what());
  } catch (const std::bad_alloc&) {
    fail_sequence(sequence, ErrorCode::kResourceExhausted, "memory: none left for this step");
  } catch (const std::exception& e) {
    fail_sequence(sequence, ErrorCode::kInternal, e.what());
  } catch (...) {
    fail_sequence(sequence, ErrorCode::kInternal, "unknown exception");
  }
}

void Scheduler::end_all(FinishReason reason) {
  for (const Owned& sequence : running_) finish(*sequence, reason);
  for (const Owned& sequence : waiting_) finish(*sequence, reason);
  sweep();
}

}  // namespace headgate
