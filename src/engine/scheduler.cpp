// Who runs: admission, memory and the rows of a step.
#include "engine/scheduler.h"

#include <algorithm>

#include "base/log.h"
#include "engine/checkpoints.h"
#include "engine/state_budget.h"
#include "model/prefill_chunk.h"

namespace headgate {
namespace {

constexpr int64_t kPageTokens = 256;
constexpr int64_t kDefaultStates = 8;  // beside the pages of one full context
constexpr int64_t kReplayRows = 32;
constexpr int64_t kMostDrafting = 8;  // sequences; where more run, a step has rows enough
constexpr int64_t kScoreBytes = int64_t{64} << 20;  // of logits of one step
constexpr double kLongestPrefillStep = 5;           // seconds, while nobody streams
constexpr int64_t kShortStep = 4;  // part of a step, where a short prompt waits for its end

int64_t most_drafts(const EngineOptions& options) {
  return options.drafts < 0 ? kMostDrafts : std::min(options.drafts, kMostDrafts);
}

StateShape shape_of(const Model& model, const EngineOptions& options) {
  const int64_t drafts = most_drafts(options);
  return model.state_shape(options.kv_dtype, kPageTokens, drafts > 0 ? drafts + 1 : 0);
}

bool has_module(const Model& model, const EngineOptions& options) {
  return most_drafts(options) > 0 && model.has_mtp();
}

// Of the trunk's states, and what is left for the drafting module, which keeps one layer's keys and
// values beside them for as many tokens at most.
struct Budget {
  int64_t trunk, module;
};

Budget budget_of(const Model& model, const EngineOptions& options) {
  const StateShape shape = shape_of(model, options);
  const int64_t layers = shape.attention_layers;
  const bool module = has_module(model, options) && layers > 0;
  int64_t budget = options.state_budget_bytes;
  if (budget == 0) {
    const int64_t context = options.context > 0 ? options.context : model.longest_context();
    const int64_t pages = (context + kPageTokens - 1) / kPageTokens + 2;
    const int64_t least = pages * shape.page_bytes() + kDefaultStates * shape.recurrent_bytes();
    budget = default_state_budget(module ? (least / layers + 1) * (layers + 1) : least);
  }
  if (!module) return {budget, 0};
  // Every sequence may have a page that is hardly begun.
  const int64_t least = (kMostDrafting + 1) * model.mtp_state_shape(options.kv_dtype).page_bytes();
  const int64_t share = std::max(budget / (layers + 1), least);
  return {std::max(budget - share, budget / 2), share};
}

// The most tokens that one sequence alone can have. One page is left for copies of shared ones.
int64_t most_tokens(const Model& model, const EngineOptions& options, const StatePool& pool) {
  const int64_t wanted = options.context > 0 ? options.context : model.longest_context();
  const StateShape& shape = pool.shape();
  const int64_t left = pool.budget_bytes() - shape.recurrent_bytes();
  if (shape.page_bytes() == 0) return left >= 0 ? wanted : 0;
  const int64_t pages = left / shape.page_bytes() - 1;
  if (pages < 1) {
    fail(ErrorCode::kResourceExhausted,
         "engine: {} bytes for states, expected at least {} for one sequence", pool.budget_bytes(),
         shape.recurrent_bytes() + 2 * shape.page_bytes());
  }
  return std::min(wanted, pages * kPageTokens);
}

void check_options(const EngineOptions& o) {
  const auto check = [](const char* name, int64_t value, int64_t least) {
    if (value < least)
      fail(ErrorCode::kInvalidArgument, "{}: found {}, expected {} or more", name, value, least);
  };
  check("context", o.context, 0);
  check("state budget", o.state_budget_bytes, 0);
  check("sequences at once", o.max_running, 1);
  check("waiting requests", o.max_waiting_requests, 1);
  check("waiting tokens", o.max_waiting_tokens, 1);
  check("prefill chunk", o.prefill_chunk, 0);
  check("drafts", o.drafts, -1);
  check_draft_options(o.drafting);
  check("checkpoint distance", o.checkpoint_every, 1);
  check("bytes of the cache on disk", o.cache_disk_bytes, 0);
  if (!(o.prefill_slowdown >= 1.05 && o.prefill_slowdown <= 1000)) {
    fail(ErrorCode::kInvalidArgument, "prefill slowdown: found {}, expected 1.05 to 1000",
         o.prefill_slowdown);
  }
}

const EngineOptions& checked(const EngineOptions& options) {
  check_options(options);
  return options;
}

}  // namespace

Scheduler::Scheduler(std::shared_ptr<const Model> model, int64_t text_tokens,
                     const EngineOptions& options)
    : model_(std::move(model)),
      text_tokens_(text_tokens),
      options_(checked(options)),
      pool_(shape_of(*model_, options), budget_of(*model_, options).trunk, options.cold_states),
      prefixes_(pool_.shape()),
      stored_(options_, model_->config(), pool_, prefixes_),
      sessions_(state_profile(options_.model_identity, model_->config(), pool_.shape()), pool_,
                prefixes_, [this] { return stored_.free_memory(); }),
      context_(most_tokens(*model_, options, pool_)),
      score_rows_(std::max<int64_t>(
          8, kScoreBytes / (4 * std::max<int64_t>(model_->config().vocabulary, 1)))),
      budget_(options.prefill_chunk > 0 ? options.prefill_chunk
                                        : default_prefill_chunk(model_->config()),
              options.prefill_slowdown, kLongestPrefillStep),
      together_(kMostDrafting + 1),
      costs_(kMostDrafting + 1) {
  if (has_module(*model_, options)) {
    module_ = std::make_unique<DraftModule>(*model_, text_tokens, options.kv_dtype,
                                            budget_of(*model_, options).module, options.drafting);
    module_prefixes_.emplace(*module_);
    module_->when_full([this] { return module_prefixes_->evict_one(); });
  }
  model_->backend().keep_rows_independent(true);
  // A step that nobody waits for any more is not worth finishing.
  result_.abandon = [this] {
    return std::all_of(planned_.begin(), planned_.end(), [](const Sequence* sequence) {
      return sequence->ticket->cancelled.load(std::memory_order_relaxed);
    });
  };
}

void Scheduler::add(const std::shared_ptr<Ticket>& ticket) {
  shares_.add(*ticket);
  auto sequence = std::make_unique<Sequence>(ticket, 0, text_tokens_);
  sequence->forks = ticket->request.choices - 1;
  make_drafts(*sequence);
  sequence->checkpoints = choose_checkpoints(sequence->prompt_tokens, ticket->request.checkpoints,
                                             options_.checkpoint_every);
  ++totals_.requests;
  waiting_.push_back(std::move(sequence));
}

void Scheduler::make_drafts(Sequence& sequence) {
  const int64_t wanted = sequence.request().drafts, most = most_drafts(options_);
  if (most == 0 || wanted == 0 || sequence.request().max_tokens == 0) return;
  const int64_t fixed = wanted < 0 ? options_.drafts : std::min(wanted, most);
  sequence.drafts = std::make_unique<SequenceDrafts>(
      module_.get(), DraftControl(std::clamp<int64_t>(fixed, -1, kMostDrafts), &draft_history_),
      options_.drafting.lookup);
  sequence.drafts->stretch(sequence.request().stretched.value_or(false));
}

void Scheduler::forget_prefixes() {
  stored_.forget();
  if (module_prefixes_) module_prefixes_->clear();
}

void Scheduler::drop_ended() {
  const auto now = EngineClock::now();
  const auto check = [&](Sequence& sequence) {
    if (sequence.ticket->cancelled.load(std::memory_order_relaxed)) {
      finish(sequence, FinishReason::kCancelled);
    } else if (sequence.ticket->expired(now)) {
      finish(sequence, FinishReason::kDeadline);
    }
  };
  for (const Owned& sequence : running_) check(*sequence);
  for (const Owned& sequence : waiting_) check(*sequence);
  sweep();
}

void Scheduler::sweep() {
  const auto ended = [](const Owned& sequence) { return sequence->ended; };
  std::erase_if(running_, ended);
  std::erase_if(waiting_, ended);
}

void Scheduler::admit() {
  while (!waiting_.empty()) {
    const auto next =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [](const Owned& a, const Owned& b) { return FairShares::before(*a, *b); });
    if (!fits(**next)) {
      if (!displace_for(**next)) return;
      continue;  // the list has changed
    }
    Owned sequence = std::move(*next);
    waiting_.erase(next);
    if (!start(sequence)) {
      waiting_.push_back(std::move(sequence));
      return;
    }
  }
}

int64_t Scheduler::give_rows(Sequence& sequence, int64_t most) {
  if (!sequence.begun && (waits_for_prefix(sequence) || waits_for_disk(sequence))) return 0;
  if (!sequence.begun) attach_prefix(sequence);
  if (sequence.ended) return 0;
  int64_t rows = std::min(sequence.missing(), most);
  for (const int64_t checkpoint : sequence.checkpoints) {
    if (checkpoint > sequence.position()) {
      rows = std::min(rows, checkpoint - sequence.position());
      break;
    }
  }
  if (sequence.request().prompt_logprobs >= 0 && sequence.position() < sequence.prompt_tokens)
    rows = std::min(rows, score_rows_);
  // Tokens of its own that it forgot are fed apart from the prompt: they get no scores, and go few
  // at a time, since kernels for long pieces round otherwise than those it was decoded with.
  rows = std::min(rows, sequence.position() < sequence.prompt_tokens
                            ? sequence.prompt_tokens - sequence.position()
                            : kReplayRows);
  if (!reserve(sequence, rows)) return 0;
  sequence.rows = rows;
  planned_.push_back(&sequence);
  return rows;
}

void Scheduler::draft_all(const std::vector<Sequence*>& order, int64_t decoding) {
  chains_.clear();
  chained_.clear();
  if (decoding > kMostDrafting) return;
  StepCosts& costs = costs_[static_cast<size_t>(decoding)];
  int64_t passes = 0;
  std::vector<const DraftControl*> texts;
  for (const Sequence* sequence : order) {
    if (!sequence->prefilling() && sequence->begun && sequence->drafts != nullptr &&
        sequence->drafts->ready())
      texts.push_back(&sequence->drafts->control());
  }
  const bool keeps_up = module_ != nullptr && module_->keeps_up(decoding, costs.step_seconds(1));
  DraftControl::Choice joint;
  const bool joins = decoding > 1 && !texts.empty();
  if (joins)
    joint = together_[static_cast<size_t>(decoding)].choose_together(texts, most_drafts(options_),
                                                                     costs);
  for (Sequence* sequence : order) {
    if (sequence->prefilling() || !sequence->begun || sequence->drafts == nullptr) continue;
    const Request& request = sequence->request();
    int64_t limit = std::min(context_of(request) - sequence->size() - 1, most_drafts(options_));
    if (request.max_tokens >= 0)
      limit = std::min(limit, request.max_tokens - sequence->generated() - 1);
    SequenceDrafts::Plan plan =
        sequence->drafts->plan(limit, costs, sequence->result.drafts, joins ? &joint : nullptr);
    sequence->drafted = std::move(plan.drafts);
    if (plan.from_module == 0) {
      sequence->drafts->rest(keeps_up);
      continue;
    }
    chains_.push_back({sequence->drafts->drafter(), &sequence->sampler, plan.from_module});
    chained_.push_back(sequence);
    passes = std::max(passes, plan.from_module);
  }
  if (chains_.empty()) return;
  const auto begun = EngineClock::now();
  costs.record_drafts(passes, module_->draft(chains_));
  const double seconds = seconds_between(begun, EngineClock::now());
  totals_.draft_seconds += seconds;
  for (size_t i = 0; i < chains_.size(); ++i) {
    chained_[i]->drafted = std::move(chains_[i].drafts);
    chained_[i]->result.drafts.draft_seconds += seconds;
  }
}

int64_t Scheduler::give_decode_rows(Sequence& sequence) {
  const auto drafts = static_cast<int64_t>(sequence.drafted.size());
  if (drafts > 0 && sequence.state->reserve(1 + drafts)) {
    sequence.round.assign(1, sequence.tokens.back());
    sequence.round.insert(sequence.round.end(), sequence.drafted.begin(), sequence.drafted.end());
    sequence.rows = 1 + drafts;
    planned_.push_back(&sequence);
    return sequence.rows;
  }
  sequence.drafted.clear();
  return give_rows(sequence, 1);
}

void Scheduler::plan_prompts(const std::vector<Sequence*>& reading, int64_t budget, bool streams) {
  if (budget <= 0) return;
  // Those that were preempted for an earlier one of the list are gone from it.
  const auto runs = [&](const Sequence* sequence) { return sequence->state.has_value(); };
  const auto give = [&](Sequence* sequence, int64_t most) {
    if (most > 0 && sequence->rows == 0 && runs(sequence)) budget -= give_rows(*sequence, most);
  };
  if (reading.size() > 1) {
    // No answer waits behind a long prompt: half of the step belongs to the shortest rest. Where
    // that ends in this step and nobody streams, the step is short as well, since its end is what
    // the short one waits for.
    Sequence* shortest =
        *std::min_element(reading.begin(), reading.end(), [](const Sequence* a, const Sequence* b) {
          if (a->request().priority != b->request().priority)
            return a->request().priority > b->request().priority;
          return a->missing() < b->missing();
        });
    const int64_t least = shortest->missing();
    const bool ends = !streams && least <= budget / 2;
    const bool others_stay = std::any_of(reading.begin(), reading.end(),
                                         [&](const Sequence* s) { return s->missing() > budget; });
    if (ends && others_stay) budget = std::max(budget / kShortStep, least);
    give(shortest, ends ? least : std::max<int64_t>(budget / 2, 1));
  }
  for (Sequence* sequence : reading) give(sequence, budget);
}

void Scheduler::plan() {
  planned_.clear();
  std::vector<Sequence*> order, reading;
  for (const Owned& sequence : running_) {
    sequence->rows = 0;
    sequence->drafted.clear();
    order.push_back(sequence.get());
  }
  std::sort(order.begin(), order.end(),
            [](const Sequence* a, const Sequence* b) { return a->outranks(*b); });
  const auto decoding = std::count_if(
      order.begin(), order.end(), [](const Sequence* sequence) { return !sequence->prefilling(); });
  for (Sequence* sequence : order) {
    if (sequence->drafts != nullptr)
      sequence->drafts->follow(static_cast<int64_t>(order.size()) <= kMostDrafting);
  }
  draft_all(order, decoding);
  for (Sequence* sequence : order) {
    if (!sequence->state) continue;  // preempted by one before
    if (sequence->prefilling()) {
      reading.push_back(sequence);
    } else {
      (void)give_decode_rows(*sequence);
    }
  }
  if (reading.empty()) return;
  std::sort(reading.begin(), reading.end(),
            [](const Sequence* a, const Sequence* b) { return FairShares::before(*a, *b); });
  const auto is_long = [](const Sequence* sequence) {
    return sequence->size() > PrefillBudget::kLongPrompt;
  };
  const PrefillBudget::Share share =
      budget_.share(decoding, static_cast<int64_t>(reading.size()),
                    std::count_if(reading.begin(), reading.end(), is_long));
  if (!share.long_prompts) std::erase_if(reading, is_long);
  plan_prompts(reading, share.tokens, decoding > 0);
}

void Scheduler::describe(EngineStats& stats) const {
  stats = totals_;
  stats.running = static_cast<int64_t>(running_.size());
  for (const Owned& sequence : running_) stats.prefilling += sequence->prefilling() ? 1 : 0;
  stats.waiting = static_cast<int64_t>(waiting_.size());
  for (const Owned& sequence : waiting_) stats.waiting_tokens += sequence->prompt_tokens;
  stats.state_bytes = pool_.used_bytes();
  stats.state_budget_bytes = pool_.budget_bytes();
  stats.cached_prefixes = prefixes_.entries();
  stats.cached_prefix_bytes = prefixes_.bytes();
  stats.packed_prefixes = prefixes_.packed();
  stats.evicted_prefixes = prefixes_.evicted();
  stats.disk = stored_.stats();
}

Scheduler::Left Scheduler::take_left() { return std::exchange(left_, Left{}); }

}  // namespace headgate
