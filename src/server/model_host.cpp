// The thread that loads and unloads, and the host's door.
#include "server/model_host.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "chat/checkpoint_text.h"
#include "grammar/constraint_cache.h"
#include "grammar/token_trie.h"
#include "server/api_error.h"
#include "server/host_state.h"

namespace headgate {
namespace {

using Clock = ModelHost::Clock;

constexpr double kLeastRetry = 1, kMostRetry = 60;  // seconds

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

Clock::time_point later(Clock::time_point from, double seconds) {
  return from + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

ApiError shutting_down() {
  return ApiError(503, "shutting_down", "the server is shutting down").retry_after(5);
}

void check_models(const std::vector<HostedModel>& models, int64_t budget) {
  if (models.empty()) fail(ErrorCode::kInvalidArgument, "models: none, expected at least one");
  std::set<std::string> names;
  for (const HostedModel& model : models) {
    std::vector<std::string> own = model.aliases;
    own.push_back(model.name);
    for (const std::string& name : own) {
      if (name.empty() || !names.insert(name).second)
        fail(ErrorCode::kInvalidArgument, "models: the name \"{}\" is empty or there twice", name);
    }
    const int64_t wanted = model.facts.weight_bytes + model.facts.state_bytes;
    if (budget > 0 && wanted > budget) {
      fail(ErrorCode::kInvalidArgument,
           "models: \"{}\" needs {} MiB for weights and states, the budget of all models is {} MiB",
           model.name, wanted >> 20, budget >> 20);
    }
  }
}

// What a model has once its engine runs. `state_bytes`: what its engine was given; 0: not known.
ModelFacts facts_of(const ServedModel& model, int64_t state_bytes) {
  const ModelConfig& config = model.engine->model().config();
  ModelFacts facts;
  facts.context = model.engine->context();
  facts.trained_context = config.context_length;
  facts.vocabulary = config.vocabulary;
  facts.hidden_size = config.hidden_size;
  facts.weight_bytes = model.engine->model().weight_bytes();
  facts.state_bytes = state_bytes;
  // Else as much as the engine took, which its thread says a moment after its start.
  for (int tries = 0; tries < 5000 && facts.state_bytes == 0; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    facts.state_bytes = model.engine->stats().state_budget_bytes;
  }
  return facts;
}

// Gives what a model held back to the system, for the next one.
void return_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace

std::string_view phase_name(ModelPhase phase) {
  switch (phase) {
    case ModelPhase::kUnloaded:
      return "unloaded";
    case ModelPhase::kLoading:
      return "loading";
    case ModelPhase::kLoaded:
      return "loaded";
    case ModelPhase::kLeaving:
      return "leaving";
    case ModelPhase::kUnloading:
      return "unloading";
    case ModelPhase::kFailed:
      return "failed";
  }
  return "unloaded";
}

class ModelHost::Worker {
 public:
  explicit Worker(std::shared_ptr<State> state) : s_(std::move(state)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Worker() {
    {
      const std::lock_guard lock(s_->mutex);
      s_->stopping = true;
    }
    cancel();
    s_->changed.notify_all();
    thread_.join();
  }

  // Loads the model and tells those who wait for it; throws what the load throws.
  void load(size_t index);
  void unload(size_t index);
  void cancel() { cancelled_ = true; }

 private:
  using Entry = State::Entry;

  void run();
  std::shared_ptr<ServedModel> prepare(size_t index);
  void settle(size_t index, std::shared_ptr<ServedModel> model, const ModelFacts& facts);
  void settle_failed(size_t index, const std::exception& error);

  std::shared_ptr<State> s_;
  std::atomic<bool> cancelled_{false};
  std::thread thread_;
};

void ModelHost::Worker::run() {
  while (true) {
    std::vector<State::Delivery> arrivals;
    State::Step step;
    {
      std::unique_lock lock(s_->mutex);
      step = s_->next_step(Clock::now(), arrivals);
      if (s_->stopping) return;
      if (step.kind == State::Step::Kind::kSleep && arrivals.empty()) {
        if (step.until == Clock::time_point::max()) {
          s_->changed.wait(lock);
        } else {
          s_->changed.wait_until(lock, step.until);
        }
        continue;
      }
    }
    s_->deliver(arrivals);
    if (step.kind == State::Step::Kind::kUnload) unload(step.entry);
    if (step.kind != State::Step::Kind::kLoad) continue;
    try {
      load(step.entry);
    } catch (const std::exception& error) {
      log_error("loading the model {}: {}", s_->entries[step.entry].hosted.name, error.what());
    }
  }
}

std::shared_ptr<ServedModel> ModelHost::Worker::prepare(size_t index) {
  const HostedModel& hosted = s_->entries[index].hosted;
  auto model =
      std::make_shared<ServedModel>(hosted.load([this, index](int64_t done, int64_t total) {
        const std::lock_guard lock(s_->mutex);
        s_->entries[index].progress =
            total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
        return !cancelled_.load();
      }));
  model->name = hosted.name;
  model->aliases = hosted.aliases;
  model->fingerprint = "headgate-" + s_->version;
  model->metrics = &s_->metrics.of(hosted.name);
  model->special_tokens = special_token_texts(*model->tokenizer);
  model->trie = std::make_shared<const TokenTrie>(*model->tokenizer, model->stop_tokens);
  model->constraints = std::make_shared<ConstraintCache>();
  return model;
}

void ModelHost::Worker::load(size_t index) {
  const Clock::time_point begun = Clock::now();
  int64_t given = 0;
  {
    const std::lock_guard lock(s_->mutex);
    Entry& entry = s_->entries[index];
    given = entry.hosted.facts.state_bytes;
    entry.phase = ModelPhase::kLoading;
    entry.memory_bytes = entry.wanted_bytes();
    entry.progress = 0;
    entry.load_begun = begun;
  }
  try {
    std::shared_ptr<ServedModel> model = prepare(index);
    const ModelFacts facts = facts_of(*model, given);
    settle(index, std::move(model), facts);
  } catch (const std::exception& error) {
    settle_failed(index, error);
    throw;
  }
}

void ModelHost::Worker::settle(size_t index, std::shared_ptr<ServedModel> model,
                               const ModelFacts& facts) {
  std::vector<State::Delivery> arrivals;
  {
    const std::lock_guard lock(s_->mutex);
    Entry& entry = s_->entries[index];
    entry.model = std::move(model);
    entry.hosted.facts = facts;
    entry.memory_bytes = entry.wanted_bytes();
    entry.phase = ModelPhase::kLoaded;
    entry.created = static_cast<int64_t>(std::time(nullptr));
    entry.error.clear();
    entry.progress = 1;
    ++entry.loads;
    entry.last_used = entry.loaded_at = Clock::now();
    entry.load_seconds = seconds_between(entry.load_begun, entry.loaded_at);
    s_->collect(index, arrivals);
  }
  s_->deliver(arrivals);
}

void ModelHost::Worker::settle_failed(size_t index, const std::exception& error) {
  return_memory();
  std::vector<State::Delivery> arrivals;
  {
    const std::lock_guard lock(s_->mutex);
    Entry& entry = s_->entries[index];
    entry.phase = ModelPhase::kFailed;
    entry.memory_bytes = 0;
    entry.error = error.what();
    entry.failed_at = Clock::now();
    ++entry.failures;
    const ApiError shown = s_->draining
                               ? shutting_down()
                               : load_failed_error(entry.hosted.name, s_->options.retry_seconds);
    s_->collect_failed(index, std::make_exception_ptr(shown), arrivals);
  }
  s_->deliver(arrivals);
}

void ModelHost::Worker::unload(size_t index) {
  std::shared_ptr<ServedModel> model;
  {
    const std::lock_guard lock(s_->mutex);
    Entry& entry = s_->entries[index];
    if (entry.leases > 0 || !entry.resident()) return;  // somebody came in between
    entry.phase = ModelPhase::kUnloading;
    model.swap(entry.model);
  }
  model->engine->drain(Clock::now());  // nothing runs; its last figures are there then
  model->metrics->retire(model->engine->stats());
  log_info("unloading the model {}", model->name);
  model.reset();
  return_memory();
  const std::lock_guard lock(s_->mutex);
  Entry& entry = s_->entries[index];
  entry.phase = ModelPhase::kUnloaded;
  entry.memory_bytes = 0;
  ++entry.unloads;
}

ModelHost::ModelHost(std::vector<HostedModel> models, const HostOptions& options)
    : state_(std::make_shared<State>()) {
  check_models(models, options.budget_bytes);
  state_->version = options.version;
  state_->options = options;
  for (HostedModel& model : models) {
    state_->metrics.of(model.name);
    state_->entries.emplace_back();
    state_->entries.back().hosted = std::move(model);
    state_->entries.back().created = static_cast<int64_t>(std::time(nullptr));
  }
  worker_ = std::make_unique<Worker>(state_);
}

ModelHost::~ModelHost() {
  drain(Clock::now());
  worker_.reset();
  for (State::Entry& entry : state_->entries) {
    std::shared_ptr<ServedModel> model;
    {
      const std::lock_guard lock(state_->mutex);
      entry.phase = ModelPhase::kUnloaded;
      model.swap(entry.model);
    }
    model.reset();
  }
}

void ModelHost::load_now(std::string_view name) {
  size_t index = 0;
  {
    const std::lock_guard lock(state_->mutex);
    index = state_->need(name);
    const State::Entry& entry = state_->entries[index];
    if (entry.resident()) return;
    if (state_->room_needed(entry) > 0) {
      fail(ErrorCode::kResourceExhausted,
           "models: no room for \"{}\" beside those that are loaded: {} of {} MiB are taken",
           entry.hosted.name, state_->used_bytes() >> 20, state_->options.budget_bytes >> 20);
    }
  }
  worker_->load(index);
}

ModelLease ModelHost::take(std::string_view name) {
  size_t index = 0;
  {
    const std::lock_guard lock(state_->mutex);
    index = state_->need(name);
    State::Entry& entry = state_->entries[index];
    if (state_->draining) throw shutting_down();
    state_->check_retry(entry, Clock::now());
    if (!entry.usable()) return nullptr;
    ++entry.leases;
    entry.last_used = Clock::now();
  }
  return state_->make_lease(index);
}

uint64_t ModelHost::wait(std::string_view name, Clock::time_point deadline, Arrival arrival) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  if (s.draining) throw shutting_down();
  State::Waiter waiter;
  waiter.entry = s.need(name);
  s.check_retry(s.entries[waiter.entry], Clock::now());
  if (static_cast<int64_t>(s.waiters.size()) >= s.options.max_waiting) {
    throw ApiError(429, "overloaded",
                   fmt::format("{} requests wait for models, the most allowed", s.waiters.size()))
        .retry_after(5);
  }
  waiter.id = s.next_waiter++;
  waiter.deadline = std::min(deadline, later(Clock::now(), s.options.wait_seconds));
  waiter.arrival = std::move(arrival);
  s.waiters.push_back(std::move(waiter));
  s.changed.notify_all();
  return s.waiters.back().id;
}

void ModelHost::forget(uint64_t waiter) {
  std::list<State::Waiter> gone;  // what they hold is let go of when the mutex is free
  const std::lock_guard lock(state_->mutex);
  std::list<State::Waiter>& waiters = state_->waiters;
  const auto found = std::find_if(waiters.begin(), waiters.end(),
                                  [waiter](const State::Waiter& w) { return w.id == waiter; });
  if (found == waiters.end()) return;
  gone.splice(gone.begin(), waiters, found);
  state_->changed.notify_all();
}

void ModelHost::tick() {
  std::vector<State::Delivery> late;
  const Clock::time_point now = Clock::now();
  {
    const std::lock_guard lock(state_->mutex);
    std::list<State::Waiter>& waiters = state_->waiters;
    for (auto at = waiters.begin(); at != waiters.end();) {
      if (at->deadline > now) {
        ++at;
        continue;
      }
      const State::Entry& entry = state_->entries[at->entry];
      double more = kLeastRetry * 5;
      if (entry.phase == ModelPhase::kLoading && entry.progress > 0) {
        more = seconds_between(entry.load_begun, now) * (1 - entry.progress) / entry.progress;
      }
      const ApiError error =
          ApiError(503, "loading",
                   fmt::format("the model \"{}\" is not loaded yet", entry.hosted.name), "model")
              .retry_after(std::clamp(more, kLeastRetry, kMostRetry));
      late.push_back({std::move(at->arrival), std::nullopt, std::make_exception_ptr(error)});
      at = waiters.erase(at);
    }
    if (!late.empty()) state_->changed.notify_all();
  }
  state_->deliver(late);
}

std::vector<ModelState> ModelHost::list() const {
  std::vector<ModelState> out;
  const std::lock_guard lock(state_->mutex);
  for (const State::Entry& entry : state_->entries)
    out.push_back(state_->describe(entry, Clock::now()));
  return out;
}

std::vector<ModelLease> ModelHost::loaded() const {
  std::vector<size_t> held;
  {
    const std::lock_guard lock(state_->mutex);
    for (size_t i = 0; i < state_->entries.size(); ++i) {
      if (!state_->entries[i].resident()) continue;
      ++state_->entries[i].leases;
      held.push_back(i);
    }
  }
  std::vector<ModelLease> out;
  for (const size_t index : held) out.push_back(state_->make_lease(index));
  return out;
}

int64_t ModelHost::budget_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->options.budget_bytes;
}

void ModelHost::set_options(const HostOptions& options) {
  const std::lock_guard lock(state_->mutex);
  state_->options = options;
  state_->changed.notify_all();
}

void ModelHost::stop_accepting() {
  std::vector<State::Delivery> refused;
  {
    const std::lock_guard lock(state_->mutex);
    state_->draining = true;
    for (size_t i = 0; i < state_->entries.size(); ++i)
      state_->collect_failed(i, std::make_exception_ptr(shutting_down()), refused);
  }
  worker_->cancel();
  state_->deliver(refused);
  for (const ModelLease& model : loaded()) model->engine->stop_accepting();
}

void ModelHost::drain(Clock::time_point deadline) {
  stop_accepting();
  for (const ModelLease& model : loaded()) model->engine->drain(deadline);
}

Metrics& ModelHost::metrics() const { return state_->metrics; }

}  // namespace headgate
