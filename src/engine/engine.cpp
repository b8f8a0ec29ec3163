// The thread of the engine, and what other threads may do: submit, cancel, look, drain.
#include "engine/engine.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "engine/scheduler.h"

namespace headgate {
namespace {

constexpr double kLeastRetry = 1, kMostRetry = 60;   // seconds
constexpr std::chrono::milliseconds kTendEvery{50};  // while idle, with states to be written
constexpr std::chrono::seconds kFlushTime{20};       // for writing them at the end
constexpr int64_t kMostSessions = 64;                // to be saved and loaded, waiting

// Settles whether a request is stretched. Its cached prefixes are then apart from those of requests
// that are not, or that another factor stretched.
void choose_rotation(Request& r, const Scheduler& scheduler, const Model& model) {
  if (!scheduler.stretches()) {
    if (r.stretched.value_or(false)) {
      fail(ErrorCode::kInvalidArgument,
           "YaRN: asked for, and the model was loaded without a factor to stretch its context by");
    }
    r.stretched = false;
    return;
  }
  const int64_t answer = std::max<int64_t>(r.max_tokens, r.max_tokens < 0 ? 1 : 0);
  const int64_t native = model.native_context();
  if (!r.stretched) {
    const auto prompt = static_cast<int64_t>(r.prompt.size());
    r.stretched = answer > native - std::min(prompt, native);
  }
  if (*r.stretched)
    r.cache_salt =
        fmt::format("\x1fstretched {} {}\n{}", native, model.longest_context(), r.cache_salt);
}

void check_request(const Request& r, const ModelConfig& config, int64_t context) {
  const auto prompt = static_cast<int64_t>(r.prompt.size());
  if (prompt == 0)
    fail(ErrorCode::kInvalidArgument, "prompt: found no tokens, expected at least 1");
  // Where nothing is generated the prompt may fill the context.
  if (prompt + (r.max_tokens == 0 ? 0 : 1) > context) {
    fail(ErrorCode::kInvalidArgument, "prompt: {} tokens, expected fewer than the context of {}",
         prompt, context);
  }
  for (const int32_t token : r.prompt) {
    if (token < 0 || token >= config.vocabulary) {
      fail(ErrorCode::kInvalidArgument, "prompt: found token {}, expected 0 to {}", token,
           config.vocabulary - 1);
    }
  }
  check_sampling_params(r.sampling, config.vocabulary);
  const auto check = [](const char* name, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most) {
      fail(ErrorCode::kInvalidArgument, "{}: found {}, expected {} to {}", name, value, least,
           most);
    }
  };
  check("max_tokens", r.max_tokens, -1, INT64_MAX);
  check("choices", r.choices, 1, 1024);
  check("prompt_logprobs", r.prompt_logprobs, -1, config.vocabulary);
  check("drafts", r.drafts, -1, INT64_MAX);
  if (r.pooling != Pooling::kNone && r.max_tokens != 0) {
    fail(ErrorCode::kInvalidArgument, "max_tokens: found {} with pooling, expected 0",
         r.max_tokens);
  }
}

}  // namespace

class Engine::Impl {
 public:
  Impl(std::shared_ptr<const Model> model, int64_t text_tokens, const EngineOptions& options)
      : model_(std::move(model)),
        options_(options),
        scheduler_(model_, text_tokens, options),
        thread_([this] { run(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      draining_ = stopping_ = true;
      cancel_all();
    }
    wake_.notify_all();
    thread_.join();
  }

  RequestId submit(Request request, std::shared_ptr<RequestSink> sink) {
    HEADGATE_CHECK(sink != nullptr);
    choose_rotation(request, scheduler_, *model_);
    check_request(request, model_->config(), scheduler_.context_of(request));
    const auto tokens = static_cast<int64_t>(request.prompt.size());
    const std::lock_guard lock(mutex_);
    if (draining_) refuse("the engine is shutting down", true);
    if (waiting_requests_ >= options_.max_waiting_requests)
      refuse(fmt::format("{} requests wait, the most allowed", waiting_requests_), false);
    if (waiting_requests_ > 0 && waiting_tokens_ + tokens > options_.max_waiting_tokens) {
      refuse(fmt::format("prompts of {} tokens wait, {} more would pass the limit of {}",
                         waiting_tokens_, tokens, options_.max_waiting_tokens),
             false);
    }
    auto ticket = std::make_shared<Ticket>(next_id_++, std::move(request), std::move(sink));
    ++waiting_requests_;
    waiting_tokens_ += tokens;
    tickets_.emplace(ticket->id, ticket);
    inbox_.push_back(ticket);
    wake_.notify_all();
    return ticket->id;
  }

  void cancel(RequestId id) {
    const std::lock_guard lock(mutex_);
    const auto at = tickets_.find(id);
    if (at == tickets_.end()) return;
    if (const std::shared_ptr<Ticket> ticket = at->second.lock()) ticket->cancelled = true;
    wake_.notify_all();
  }

  EngineStats stats() const {
    const std::lock_guard lock(mutex_);
    EngineStats out = stats_;
    out.shed = shed_;
    out.draining = draining_;
    out.waiting += static_cast<int64_t>(inbox_.size());
    out.requests += static_cast<int64_t>(inbox_.size());
    for (const auto& ticket : inbox_)
      out.waiting_tokens += static_cast<int64_t>(ticket->request.prompt.size());
    out.step_age_seconds = computing_ ? seconds_between(step_begun_, EngineClock::now()) : 0;
    return out;
  }

  void forget_prefixes() {
    const std::lock_guard lock(mutex_);
    forget_ = true;
    wake_.notify_all();
  }

  void save_session(SessionAsk ask) {
    HEADGATE_CHECK(ask.done != nullptr && !ask.tokens.empty());
    ask.cache_salt = engine_salt(ask, ask.tokens.size(), ask.stretched);
    add_session(
        [this, ask = std::move(ask)]() mutable { scheduler_.sessions().save(std::move(ask)); });
  }

  void load_session(SessionAsk ask) {
    HEADGATE_CHECK(ask.done != nullptr);
    std::vector<Digest> salts{PrefixCache::salt_digest(engine_salt(ask, 1, false))};
    if (scheduler_.stretches())
      salts.push_back(PrefixCache::salt_digest(engine_salt(ask, 1, true)));
    add_session([this, ask = std::move(ask), salts = std::move(salts)]() mutable {
      scheduler_.sessions().load(std::move(ask), std::move(salts));
    });
  }

  void set_limits(int64_t max_running, int64_t max_waiting_requests) {
    HEADGATE_CHECK(max_running >= 1 && max_waiting_requests >= 1);
    const std::lock_guard lock(mutex_);
    options_.max_running = max_running;
    options_.max_waiting_requests = max_waiting_requests;
  }

  void stop_accepting() {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }

  bool drain(EngineClock::time_point deadline) {
    std::unique_lock lock(mutex_);
    draining_ = true;
    const auto empty = [this] {
      return idle_ && inbox_.empty() && session_inbox_.empty() && !forget_;
    };
    if (drained_.wait_until(lock, deadline, empty)) return true;
    cancel_all();
    drained_.wait(lock, empty);
    return false;
  }

  int64_t context() const { return scheduler_.context(); }
  const Model& model() const { return *model_; }

 private:
  // The salt under which states of a prompt of so many tokens are cached.
  std::string engine_salt(const SessionAsk& ask, size_t tokens,
                          std::optional<bool> stretched) const {
    Request request;
    request.prompt.resize(tokens);
    request.max_tokens = 0;
    request.cache_salt = ask.cache_salt;
    request.stretched = stretched;
    choose_rotation(request, scheduler_, *model_);
    return request.cache_salt;
  }

  void add_session(std::function<void()> begin) {
    const std::lock_guard lock(mutex_);
    if (draining_) refuse("the engine is shutting down", true);
    if (static_cast<int64_t>(session_inbox_.size()) + waiting_sessions_ >= kMostSessions)
      refuse(fmt::format("{} sessions wait, the most allowed", kMostSessions), false);
    session_inbox_.push_back(std::move(begin));
    wake_.notify_all();
  }

  // Under mutex_.
  void cancel_all() {
    for (const auto& [id, weak] : tickets_) {
      if (const std::shared_ptr<Ticket> ticket = weak.lock()) ticket->cancelled = true;
    }
  }

  // Under mutex_.
  [[noreturn]] void refuse(const std::string& why, bool draining) {
    ++shed_;
    double seconds = kLeastRetry;
    if (prompt_tokens_per_second_ > 0)
      seconds = static_cast<double>(waiting_tokens_) / prompt_tokens_per_second_;
    throw Overloaded("engine: " + why, std::clamp(seconds, kLeastRetry, kMostRetry), draining);
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (std::exchange(forget_, false)) scheduler_.forget_prefixes();
      for (const std::function<void()>& begin : session_inbox_) begin();
      session_inbox_.clear();
      idle_ = scheduler_.idle() && inbox_.empty() && !scheduler_.sessions().is_busy();
      if (idle_) {
        publish();
        drained_.notify_all();
        const auto woken = [this] {
          return stopping_ || forget_ || !inbox_.empty() || !session_inbox_.empty();
        };
        if (!scheduler_.stored().has_work()) {
          wake_.wait(lock, woken);
        } else if (!wake_.wait_for(lock, kTendEvery, woken)) {
          lock.unlock();
          scheduler_.stored().tend();
          lock.lock();
        }
        continue;
      }
      for (const std::shared_ptr<Ticket>& ticket : inbox_) scheduler_.add(ticket);
      inbox_.clear();
      scheduler_.set_max_running(options_.max_running);
      step_begun_ = EngineClock::now();
      computing_ = true;
      lock.unlock();
      scheduler_.step();
      lock.lock();
      computing_ = false;
      publish();
    }
    for (const std::shared_ptr<Ticket>& ticket : inbox_) scheduler_.add(ticket);
    inbox_.clear();
    for (const std::function<void()>& begin : session_inbox_) begin();  // ends with the scheduler
    session_inbox_.clear();
    lock.unlock();
    scheduler_.end_all(FinishReason::kCancelled);
    scheduler_.stored().flush(EngineClock::now() + kFlushTime);
  }

  // Under mutex_, on the engine's thread.
  void publish() {
    const Scheduler::Left left = scheduler_.take_left();
    waiting_requests_ -= left.requests;
    waiting_tokens_ -= left.prompt_tokens;
    scheduler_.describe(stats_);
    waiting_sessions_ = scheduler_.sessions().waiting();
    prompt_tokens_per_second_ =
        stats_.busy_seconds > 0
            ? static_cast<double>(stats_.prompt_tokens + stats_.generated_tokens) /
                  stats_.busy_seconds
            : 0;
    if (tickets_.size() > 2 * live_tickets_ + 64) {
      std::erase_if(tickets_, [](const auto& entry) { return entry.second.expired(); });
      live_tickets_ = tickets_.size();
    }
  }

  std::shared_ptr<const Model> model_;
  EngineOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, drained_;
  std::deque<std::shared_ptr<Ticket>> inbox_;
  std::vector<std::function<void()>> session_inbox_;
  int64_t waiting_sessions_ = 0;  // as of the last step
  std::unordered_map<RequestId, std::weak_ptr<Ticket>> tickets_;
  size_t live_tickets_ = 0;
  RequestId next_id_ = 1;
  int64_t waiting_requests_ = 0, waiting_tokens_ = 0, shed_ = 0;
  bool draining_ = false, stopping_ = false, idle_ = true, computing_ = false, forget_ = false;
  EngineClock::time_point step_begun_;
  EngineStats stats_;
  double prompt_tokens_per_second_ = 0;

  Scheduler scheduler_;  // of thread_; context() is constant
  std::thread thread_;
};

Engine::Engine(std::shared_ptr<const Model> model, int64_t text_tokens,
               const EngineOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), text_tokens, options)) {}

Engine::~Engine() = default;

RequestId Engine::submit(Request request, std::shared_ptr<RequestSink> sink) {
  return impl_->submit(std::move(request), std::move(sink));
}

void Engine::forget_prefixes() { impl_->forget_prefixes(); }
void Engine::save_session(SessionAsk ask) { impl_->save_session(std::move(ask)); }
void Engine::load_session(SessionAsk ask) { impl_->load_session(std::move(ask)); }
void Engine::cancel(RequestId id) { impl_->cancel(id); }
void Engine::set_limits(int64_t max_running, int64_t max_waiting_requests) {
  impl_->set_limits(max_running, max_waiting_requests);
}
EngineStats Engine::stats() const { return impl_->stats(); }
int64_t Engine::context() const { return impl_->context(); }
const Model& Engine::model() const { return impl_->model(); }
void Engine::stop_accepting() { impl_->stop_accepting(); }
bool Engine::drain(std::chrono::steady_clock::time_point deadline) {
  return impl_->drain(deadline);
}

}  // namespace headgate
