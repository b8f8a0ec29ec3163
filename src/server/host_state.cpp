// Who is loaded, who waits, and who has to make room.
#include "server/host_state.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace headgate {
namespace {

using Clock = ModelHost::Clock;

Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

}  // namespace

ApiError load_failed_error(const std::string& name, double retry_seconds) {
  const std::string message =
      fmt::format("the model \"{}\" could not be loaded: the server's log says why", name);
  return ApiError(503, "model_load_failed", message, "model")
      .retry_after(std::max(retry_seconds, 1.0));
}

void ModelHost::State::check_retry(const Entry& entry, Clock::time_point now) const {
  if (entry.phase != ModelPhase::kFailed) return;
  const double since = std::chrono::duration<double>(now - entry.failed_at).count();
  if (since < options.retry_seconds)
    throw load_failed_error(entry.hosted.name, options.retry_seconds - since);
}

std::optional<size_t> ModelHost::State::find(std::string_view name) const {
  if (name.empty()) return 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    const HostedModel& hosted = entries[i].hosted;
    if (hosted.name == name ||
        std::find(hosted.aliases.begin(), hosted.aliases.end(), name) != hosted.aliases.end())
      return i;
  }
  return std::nullopt;
}

size_t ModelHost::State::need(std::string_view name) const {
  if (const auto found = find(name)) return *found;
  constexpr size_t kMostNamed = 10;
  std::string names;
  for (size_t i = 0; i < std::min(entries.size(), kMostNamed); ++i)
    names += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", entries[i].hosted.name);
  if (entries.size() > kMostNamed) names += ", ...";
  throw ApiError(404, "model_not_found",
                 fmt::format("the model \"{}\" does not exist here: this server has {}",
                             name.substr(0, 200), names),
                 "model");
}

int64_t ModelHost::State::used_bytes() const {
  int64_t sum = 0;
  for (const Entry& entry : entries) sum += entry.memory_bytes;
  return sum;
}

int64_t ModelHost::State::room_needed(const Entry& wanted) const {
  if (options.budget_bytes == 0) return 0;
  const int64_t used = used_bytes();
  // Alone every model may be loaded: its needs were checked against the budget.
  if (used == 0) return 0;
  return std::max<int64_t>(used + wanted.wanted_bytes() - options.budget_bytes, 0);
}

std::optional<size_t> ModelHost::State::longest_unused(size_t except) const {
  std::optional<size_t> best;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i == except || !entries[i].resident() || entries[i].leases > 0) continue;
    if (!best || entries[i].last_used < entries[*best].last_used) best = i;
  }
  return best;
}

// All who could go are in use: those that had their turn longest ago take no new requests, until
// enough will be free.
void ModelHost::State::ask_to_leave(size_t wanted, Clock::time_point now, Step& step) {
  int64_t missing = room_needed(entries[wanted]);
  for (const Entry& entry : entries)
    if (entry.phase == ModelPhase::kLeaving) missing -= entry.memory_bytes;
  while (missing > 0) {
    Entry* next = nullptr;
    for (size_t i = 0; i < entries.size(); ++i) {
      Entry& entry = entries[i];
      if (i != wanted && entry.usable() && (next == nullptr || entry.loaded_at < next->loaded_at))
        next = &entry;
    }
    if (next == nullptr) return;
    const Clock::time_point turn_ends = next->loaded_at + seconds(options.turn_seconds);
    if (turn_ends > now) {
      step.until = std::min(step.until, turn_ends);
      return;
    }
    next->phase = ModelPhase::kLeaving;
    missing -= next->memory_bytes;
  }
}

ModelHost::State::Step ModelHost::State::make_room(size_t wanted, Clock::time_point now) {
  Step step;
  if (const auto unused = longest_unused(wanted)) {
    step.kind = Step::Kind::kUnload;
    step.entry = *unused;
    return step;
  }
  ask_to_leave(wanted, now, step);
  return step;
}

ModelHost::State::Step ModelHost::State::next_step(Clock::time_point now,
                                                   std::vector<Delivery>& arrivals) {
  Step step;
  if (stopping) return step;
  while (!waiters.empty()) {
    const size_t first = waiters.front().entry;
    Entry& wanted = entries[first];
    if (wanted.phase == ModelPhase::kLoading) return step;  // by another thread, at the start
    if (wanted.resident()) {
      // It was to leave for one that nobody wants any more.
      wanted.phase = ModelPhase::kLoaded;
      collect(first, arrivals);
      continue;
    }
    if (room_needed(wanted) > 0) return make_room(first, now);
    step.kind = Step::Kind::kLoad;
    step.entry = first;
    return step;
  }
  // A model may turn out larger than its file, and a reload may lower the budget.
  const auto residents = std::count_if(entries.begin(), entries.end(),
                                       [](const Entry& entry) { return entry.resident(); });
  const auto unused = longest_unused(entries.size());
  if (options.budget_bytes > 0 && used_bytes() > options.budget_bytes && residents > 1 && unused) {
    step.kind = Step::Kind::kUnload;
    step.entry = *unused;
    return step;
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    Entry& entry = entries[i];
    if (!entry.resident()) continue;
    entry.phase = ModelPhase::kLoaded;  // nobody needs its place any more
    if (options.idle_seconds <= 0) continue;
    const Clock::time_point expires =
        (entry.leases > 0 ? now : entry.last_used) + seconds(options.idle_seconds);
    if (entry.leases == 0 && expires <= now) {
      step.kind = Step::Kind::kUnload;
      step.entry = i;
      return step;
    }
    step.until = std::min(step.until, expires);
  }
  return step;
}

void ModelHost::State::collect(size_t entry, std::vector<Delivery>& out) {
  for (auto at = waiters.begin(); at != waiters.end();) {
    if (at->entry != entry) {
      ++at;
      continue;
    }
    ++entries[entry].leases;
    out.push_back({std::move(at->arrival), entry, nullptr});
    at = waiters.erase(at);
  }
}

void ModelHost::State::collect_failed(size_t entry, const std::exception_ptr& error,
                                      std::vector<Delivery>& out) {
  for (auto at = waiters.begin(); at != waiters.end();) {
    if (at->entry != entry) {
      ++at;
      continue;
    }
    out.push_back({std::move(at->arrival), std::nullopt, error});
    at = waiters.erase(at);
  }
}

ModelState ModelHost::State::describe(const Entry& entry, Clock::time_point now) const {
  ModelState out;
  out.name = entry.hosted.name;
  out.aliases = entry.hosted.aliases;
  out.facts = entry.hosted.facts;
  out.phase = entry.phase;
  out.created = entry.created;
  out.memory_bytes = entry.memory_bytes;
  out.requests = entry.leases;
  for (const Waiter& waiter : waiters) out.waiting += &entries[waiter.entry] == &entry;
  out.progress = entry.progress;
  if (entry.resident() && entry.leases == 0)
    out.idle_seconds = std::chrono::duration<double>(now - entry.last_used).count();
  out.load_seconds = entry.load_seconds;
  out.loads = entry.loads;
  out.unloads = entry.unloads;
  out.failures = entry.failures;
  out.error = entry.error;
  return out;
}

ModelLease ModelHost::State::make_lease(size_t entry) {
  // The lease counts, so the model stays where it is.
  const ServedModel* model = entries[entry].model.get();
  return {model, [self = shared_from_this(), entry](const ServedModel*) { self->release(entry); }};
}

void ModelHost::State::release(size_t entry) {
  const std::lock_guard lock(mutex);
  entries[entry].last_used = Clock::now();
  if (--entries[entry].leases > 0) return;
  const bool over = options.budget_bytes > 0 && used_bytes() > options.budget_bytes;
  if (over || !waiters.empty()) changed.notify_all();
}

void ModelHost::State::deliver(std::vector<Delivery>& deliveries) {
  for (Delivery& delivery : deliveries) {
    try {
      delivery.arrival(delivery.entry ? make_lease(*delivery.entry) : nullptr, delivery.error);
    } catch (const std::exception& error) {
      log_error("a request that waited for its model: {}", error.what());
    }
  }
  deliveries.clear();
}

}  // namespace headgate
