// The bridge from the engine's thread to workers, and from tokens to events.
#include "server/generation.h"

#include <utility>

#include "base/log.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Generation : public RequestSink, public std::enable_shared_from_this<Generation> {
 public:
  Generation(Service& service, const Call& call, GenerationPlan& plan,
             std::unique_ptr<GenerationListener> listener);

  RequestId submit(Request request);
  // Of the tenant's limit, for this request.
  void hold_tokens(std::string tenant, int64_t reserved) {
    tenant_ = std::move(tenant);
    reserved_ = reserved;
  }

  // --- on the engine's thread ---
  void started(const RequestStart& start) override;
  void progress(int64_t done, int64_t total) override;
  void scored(int64_t first, std::span<const SampledToken> tokens) override;
  bool tokens(int32_t choice, std::span<const SampledToken> tokens) override;
  void finished(int32_t choice, const RequestResult& result) override;

 private:
  struct Event {
    enum class Kind { kStarted, kProgress, kScored, kTokens, kFinished };
    Kind kind;
    int32_t choice = 0;
    int64_t first = 0, second = 0;
    std::vector<SampledToken> tokens;
    RequestStart start;
    RequestResult result;
    Clock::time_point when;
  };
  struct Choice {
    explicit Choice(AnswerStream s) : stream(std::move(s)) {}
    AnswerStream stream;
    bool in_reasoning = false;
    bool ended = false;  // choice_done() was called
    Clock::time_point last_token;
  };

  void push(Event event);
  void drain();
  void handle(const Event& event);
  void on_token(int32_t index, const SampledToken& token, Clock::time_point when);
  void end_choice(int32_t index, std::string_view reason);
  void on_finished(int32_t index, const RequestResult& result);
  void all_done();
  void fail_all(const ApiError& error, std::string_view reason);
  void count(std::string_view reason);
  void note_figures();
  void remember_answers();
  GenerationUsage usage() const;

  Service& service_;
  ModelLease model_;
  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<ActiveRequest> active_;
  std::unique_ptr<GenerationListener> listener_;
  std::vector<Choice> choices_;
  std::vector<ChoiceState> states_;
  std::vector<RequestResult> results_;
  std::vector<std::atomic<bool>> stopped_;  // choices that need no more tokens
  bool keep_sampled_;
  bool include_stop_text_;
  bool report_progress_;
  bool detached_;
  std::optional<AnswerPlace> place_;
  int64_t max_tokens_;
  int64_t unfinished_;
  std::string tenant_;
  int64_t reserved_ = 0;
  bool failed_ = false;
  RequestStart start_;
  Clock::time_point arrived_ = Clock::now();
  double first_token_seconds_ = -1;

  std::mutex mutex_;
  std::vector<Event> queue_;
  bool scheduled_ = false;
};

Generation::Generation(Service& service, const Call& call, GenerationPlan& plan,
                       std::unique_ptr<GenerationListener> listener)
    : service_(service),
      model_(call.model),
      exchange_(call.exchange),
      active_(service.active.add(call.request().id, call.model->name)),
      listener_(std::move(listener)),
      states_(static_cast<size_t>(plan.request.choices)),
      results_(static_cast<size_t>(plan.request.choices)),
      stopped_(static_cast<size_t>(plan.request.choices)),
      keep_sampled_(plan.request.sampling.top_logprobs >= 0),
      include_stop_text_(plan.include_stop_text),
      report_progress_(plan.report_progress),
      detached_(plan.detached),
      place_(std::move(plan.place)),
      max_tokens_(plan.request.max_tokens),
      unfinished_(plan.request.choices) {
  for (int32_t i = 0; i < plan.request.choices; ++i) {
    std::optional<OutputParser> parser;
    bool reasoning = false;
    if (plan.parser) {
      OutputParserOptions options = *plan.parser;
      options.call_id_prefix += fmt::format("{}_", i);
      reasoning = options.reasoning == OutputParserOptions::Reasoning::kOpen;
      parser.emplace(std::move(options));
    }
    choices_.emplace_back(
        AnswerStream(*model_->tokenizer, plan.stop, std::move(parser), plan.skip_special));
    choices_.back().in_reasoning = reasoning;
  }
}

RequestId Generation::submit(Request request) {
  // Events of a quick engine wait until the listener knows that the request was taken.
  scheduled_ = true;
  const RequestId id = model_->engine->submit(std::move(request), shared_from_this());
  listener_->accepted();
  service_.workers->post_urgent([self = shared_from_this()] { self->drain(); });
  if (!detached_) {
    // Whoever still waits for the answer keeps the model; the exchange alone does not.
    exchange_->on_gone([weak = std::weak_ptr<const ServedModel>(model_), id] {
      if (const ModelLease model = weak.lock()) model->engine->cancel(id);
    });
  }
  return id;
}

void Generation::started(const RequestStart& start) {
  Event event{};
  event.kind = Event::Kind::kStarted;
  event.start = start;
  push(std::move(event));
}

void Generation::progress(int64_t done, int64_t total) {
  active_->done_tokens = done;
  if (!report_progress_) return;
  Event event{};
  event.kind = Event::Kind::kProgress;
  event.first = done;
  event.second = total;
  push(std::move(event));
}

void Generation::scored(int64_t first, std::span<const SampledToken> tokens) {
  Event event{};
  event.kind = Event::Kind::kScored;
  event.first = first;
  event.tokens.assign(tokens.begin(), tokens.end());
  push(std::move(event));
}

bool Generation::tokens(int32_t choice, std::span<const SampledToken> tokens) {
  if (stopped_[static_cast<size_t>(choice)].load(std::memory_order_relaxed)) return false;
  Event event{};
  event.kind = Event::Kind::kTokens;
  event.choice = choice;
  event.tokens.assign(tokens.begin(), tokens.end());
  push(std::move(event));
  return true;
}

void Generation::finished(int32_t choice, const RequestResult& result) {
  Event event{};
  event.kind = Event::Kind::kFinished;
  event.choice = choice;
  event.result = result;
  push(std::move(event));
}

void Generation::push(Event event) {
  event.when = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(event));
    if (scheduled_) return;
    scheduled_ = true;
  }
  service_.workers->post_urgent([self = shared_from_this()] { self->drain(); });
}

// One worker at a time; others that want this request find it scheduled.
void Generation::drain() {
  while (true) {
    std::vector<Event> events;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        scheduled_ = false;
        return;
      }
      events.swap(queue_);
    }
    for (const Event& event : events) {
      try {
        handle(event);
      } catch (const std::exception& error) {
        log_error("request {}: {}", exchange_->request().id, error.what());
        for (auto& stopped : stopped_) stopped = true;
        fail_all(api_error_of(error), "error");
      }
    }
  }
}

void Generation::handle(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kStarted:
      start_ = event.start;
      active_->prompt_tokens = start_.prompt_tokens;
      active_->cached_tokens = start_.cached_tokens;
      active_->started = true;
      if (!failed_) listener_->started(usage());
      return;
    case Event::Kind::kProgress:
      if (!failed_) listener_->progress(event.first, event.second, seconds_since(arrived_));
      return;
    case Event::Kind::kScored:
      if (!failed_) listener_->scored(event.first, event.tokens);
      return;
    case Event::Kind::kTokens:
      for (const SampledToken& token : event.tokens) on_token(event.choice, token, event.when);
      return;
    case Event::Kind::kFinished:
      on_finished(event.choice, event.result);
      return;
  }
}

// Adds an event to the whole of its choice.
void absorb_event(ChoiceState& state, const OutputEvent& event) {
  switch (event.kind) {
    case OutputEvent::Kind::kReasoning:
      state.reasoning += event.text;
      return;
    case OutputEvent::Kind::kContent:
      state.content += event.text;
      return;
    case OutputEvent::Kind::kToolBegin:
      state.tool_calls.push_back({event.id, event.name, ""});
      return;
    case OutputEvent::Kind::kToolArguments:
      if (!state.tool_calls.empty()) state.tool_calls.back().arguments += event.text;
      return;
    case OutputEvent::Kind::kToolEnd:
      return;
  }
}

void Generation::on_token(int32_t index, const SampledToken& token, Clock::time_point when) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  ChoiceState& state = states_[static_cast<size_t>(index)];
  if (choice.ended || failed_) return;
  if (first_token_seconds_ < 0)
    first_token_seconds_ = std::chrono::duration<double>(when - arrived_).count();
  if (!state.tokens.empty())
    model_->metrics->count_gap(std::chrono::duration<double>(when - choice.last_token).count());
  choice.last_token = when;
  state.tokens.push_back(token.token);
  if (keep_sampled_) state.sampled.push_back(token);
  active_->generated_tokens.fetch_add(1, std::memory_order_relaxed);
  std::vector<OutputEvent> events;
  const bool goes_on = choice.stream.push(token.token, [&](const OutputEvent& event) {
    if (event.kind != OutputEvent::Kind::kReasoning) choice.in_reasoning = false;
    if (event.kind == OutputEvent::Kind::kReasoning) choice.in_reasoning = true;
    absorb_event(state, event);
    events.push_back(event);
  });
  state.reasoning_tokens += choice.in_reasoning;
  listener_->token(index, token, events);
  if (!goes_on) {
    stopped_[static_cast<size_t>(index)] = true;
    end_choice(index, "stop");
  }
}

void Generation::end_choice(int32_t index, std::string_view reason) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  ChoiceState& state = states_[static_cast<size_t>(index)];
  if (choice.ended) return;
  choice.ended = true;
  std::vector<OutputEvent> events;
  const auto receive = [&](const OutputEvent& event) {
    absorb_event(state, event);
    events.push_back(event);
  };
  const OutputSummary summary = choice.stream.finish(reason, receive);
  state.stop_text = choice.stream.stop_found();
  if (include_stop_text_ && !state.stop_text.empty())
    receive({OutputEvent::Kind::kContent, state.stop_text, -1, "", ""});
  // A call that broke off before its name is text after all; one that broke off later was sent as
  // far as it came. Nothing that was generated disappears.
  const bool begun = state.tool_calls.size() > summary.tool_calls.size();
  if (summary.incomplete && !begun && !choice.stream.stopped())
    receive({OutputEvent::Kind::kContent, *summary.incomplete, -1, "", ""});
  state.finish_reason = summary.finish_reason;
  listener_->choice_done(index, state, events);
}

ApiError error_of_result(const RequestResult& result, bool draining) {
  switch (result.reason) {
    case FinishReason::kCancelled:
      if (draining)
        return ApiError(503, "shutting_down", "the server is shutting down").retry_after(5);
      return {499, "cancelled", "the request was cancelled"};
    case FinishReason::kDeadline:
      return {504, "timeout", "the request took longer than the server allows"};
    default:
      return api_error_of(Error(result.error, result.message));
  }
}

void Generation::on_finished(int32_t index, const RequestResult& result) {
  results_[static_cast<size_t>(index)] = result;
  --unfinished_;
  const bool stopped = choices_[static_cast<size_t>(index)].ended;
  const bool complete = stopped || result.reason == FinishReason::kStop ||
                        result.reason == FinishReason::kLength ||
                        result.reason == FinishReason::kContext;
  if (!complete) {
    if (result.reason == FinishReason::kFailed)
      log_error("request {}: {}", exchange_->request().id, result.message);
    fail_all(error_of_result(result, service_.draining.load()),
             result.reason == FinishReason::kCancelled ? "abort" : "error");
  } else if (!failed_) {
    end_choice(index, result.reason == FinishReason::kStop ? "stop" : "length");
  }
  if (unfinished_ == 0 && !failed_) all_done();
}

GenerationUsage Generation::usage() const {
  GenerationUsage usage;
  usage.prompt_tokens = start_.prompt_tokens;
  usage.cached_tokens = start_.cached_tokens;
  usage.miss_position = start_.miss_position;
  usage.from_disk = start_.from_disk;
  for (size_t i = 0; i < choices_.size(); ++i) {
    usage.completion_tokens += static_cast<int64_t>(states_[i].tokens.size());
    usage.reasoning_tokens += states_[i].reasoning_tokens;
    const int64_t accepted = results_[i].drafts.total_accepted();
    usage.accepted_drafts += accepted;
    usage.rejected_drafts += results_[i].drafts.total_drafted() - accepted;
    usage.prefill_seconds = std::max(usage.prefill_seconds, results_[i].prefill_seconds);
    usage.decode_seconds = std::max(usage.decode_seconds, results_[i].decode_seconds);
  }
  return usage;
}

void Generation::all_done() {
  const GenerationUsage total = usage();
  note_figures();
  remember_answers();
  listener_->done(states_, total, results_);
  count(states_.front().finish_reason);
}

// Before the client has them and can send them back.
void Generation::remember_answers() {
  if (!place_ || service_.echoes == nullptr) return;
  const Tokenizer& tokenizer = *model_->tokenizer;
  for (const ChoiceState& state : states_) {
    if (!state.stop_text.empty()) continue;  // was cut
    SampledAnswer answer;
    for (const int32_t token : state.tokens) answer.text += tokenizer.token_bytes(token);
    // Half a character would become another text on its way.
    if (answer.text != tokenizer.decode(state.tokens)) continue;
    answer.content = state.content;
    answer.reasoning = state.reasoning;
    answer.calls = state.tool_calls;
    answer.lead = place_->lead;
    answer.tokens = state.tokens;
    service_.echoes->remember(*place_, std::move(answer));
  }
}

void Generation::fail_all(const ApiError& error, std::string_view reason) {
  if (failed_) return;
  failed_ = true;
  for (auto& stopped : stopped_) stopped = true;
  note_figures();
  listener_->failed(error);
  count(reason);
}

void Generation::count(std::string_view reason) {
  const GenerationUsage total = usage();
  RequestFigures figures;
  figures.finish_reason = reason;
  figures.prompt_tokens = total.prompt_tokens;
  figures.cached_tokens = total.cached_tokens;
  figures.generated_tokens = total.completion_tokens;
  figures.choices = static_cast<int64_t>(choices_.size());
  figures.max_tokens = max_tokens_;
  figures.queue_seconds = start_.queue_seconds;
  figures.prefill_seconds = total.prefill_seconds;
  figures.decode_seconds = total.decode_seconds;
  figures.first_token_seconds = first_token_seconds_;
  figures.total_seconds = seconds_since(arrived_);
  model_->metrics->count_request(figures);
  service_.rates.settle(tenant_, reserved_, total.prompt_tokens + total.completion_tokens);
}

// Before the answer's end is sent: the log line is written when it is.
void Generation::note_figures() {
  const GenerationUsage total = usage();
  exchange_->note("prompt_tokens", total.prompt_tokens);
  exchange_->note("cached_tokens", total.cached_tokens);
  exchange_->note("completion_tokens", total.completion_tokens);
  exchange_->note("queue_ms", static_cast<int64_t>(start_.queue_seconds * 1e3));
  if (first_token_seconds_ >= 0)
    exchange_->note("ttft_ms", static_cast<int64_t>(first_token_seconds_ * 1e3));
}

double per_second(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace

json::object prompt_details_json(const GenerationUsage& u) {
  const char* reason = u.miss_position >= u.prompt_tokens ? "none"
                       : u.miss_position > 0              ? "differs"
                                                          : "unknown_prompt";
  return {{"cached_tokens", u.cached_tokens},
          {"cache_tier", u.cached_tokens == 0 ? "none"
                         : u.from_disk        ? "disk"
                                              : "memory"},
          {"replayed_tokens", u.miss_position - u.cached_tokens},
          {"miss_position", u.miss_position},
          {"miss_reason", reason}};
}

json::object usage_json(const GenerationUsage& u) {
  return {{"prompt_tokens", u.prompt_tokens},
          {"completion_tokens", u.completion_tokens},
          {"total_tokens", u.prompt_tokens + u.completion_tokens},
          {"prompt_tokens_details", prompt_details_json(u)},
          {"completion_tokens_details",
           json::object{{"reasoning_tokens", u.reasoning_tokens},
                        {"accepted_prediction_tokens", u.accepted_drafts},
                        {"rejected_prediction_tokens", u.rejected_drafts}}}};
}

json::object timings_json(const GenerationUsage& u) {
  const int64_t computed = u.prompt_tokens - u.cached_tokens;
  return {{"cache_n", u.cached_tokens},
          {"prompt_n", computed},
          {"prompt_ms", u.prefill_seconds * 1e3},
          {"prompt_per_second", per_second(computed, u.prefill_seconds)},
          {"predicted_n", u.completion_tokens},
          {"predicted_ms", u.decode_seconds * 1e3},
          {"predicted_per_second", per_second(u.completion_tokens, u.decode_seconds)}};
}

namespace {

// Of prompt and answers.
int64_t most_tokens(const Request& request, const Engine& engine) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t room = std::max<int64_t>(engine.context() - prompt, 0);
  const int64_t answer = request.max_tokens < 0 ? room : std::min(request.max_tokens, room);
  return prompt + answer * request.choices;
}

}  // namespace

RequestId start_generation(Service& service, const Call& call, GenerationPlan plan,
                           std::unique_ptr<GenerationListener> listener) {
  if (service.limits.request_seconds > 0) {
    plan.request.deadline =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(service.limits.request_seconds));
  }
  plan.request.share_key = call.caller.tenant();
  const int64_t reserved =
      service.rates.reserve(call.caller.tenant(), most_tokens(plan.request, *call.model->engine));
  auto generation = std::make_shared<Generation>(service, call, plan, std::move(listener));
  generation->hold_tokens(call.caller.tenant(), reserved);
  try {
    return generation->submit(std::move(plan.request));
  } catch (...) {
    service.rates.settle(call.caller.tenant(), reserved, 0);
    throw;
  }
}

}  // namespace headgate
