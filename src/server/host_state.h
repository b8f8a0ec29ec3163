// What a model host knows of its models and of who waits for them, and what it should do next.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <vector>

#include "server/api_error.h"
#include "server/metrics.h"
#include "server/model_host.h"

namespace headgate {

// What requests get whose model could not be loaded.
ApiError load_failed_error(const std::string& name, double retry_seconds);

// Everything but the constants is guarded by `mutex`, and nobody calls an engine while holding it:
// an engine's thread lets go of leases, which takes it. Held by every lease.
struct ModelHost::State : std::enable_shared_from_this<ModelHost::State> {
  struct Entry {
    HostedModel hosted;
    ModelPhase phase = ModelPhase::kUnloaded;
    std::shared_ptr<ServedModel> model;  // while kLoaded or kLeaving
    int64_t leases = 0;
    int64_t memory_bytes = 0;
    int64_t created = 0;
    double progress = 0, load_seconds = 0;
    Clock::time_point last_used, loaded_at, failed_at, load_begun;
    int64_t loads = 0, unloads = 0, failures = 0;
    std::string error;

    bool usable() const { return phase == ModelPhase::kLoaded; }
    bool resident() const { return model != nullptr; }
    int64_t wanted_bytes() const { return hosted.facts.weight_bytes + hosted.facts.state_bytes; }
  };
  struct Waiter {
    uint64_t id = 0;
    size_t entry = 0;
    Clock::time_point deadline;
    Arrival arrival;
  };
  // An arrival and what it gets, for when the mutex is free again.
  struct Delivery {
    Arrival arrival;
    std::optional<size_t> entry;  // whose lease was counted already
    std::exception_ptr error;
  };
  struct Step {
    enum class Kind { kSleep, kLoad, kUnload } kind = Kind::kSleep;
    size_t entry = 0;
    Clock::time_point until = Clock::time_point::max();  // of kSleep
  };

  // --- constant ---
  std::string version;
  Metrics metrics;

  mutable std::mutex mutex;
  std::condition_variable changed;
  HostOptions options;
  std::vector<Entry> entries;
  std::list<Waiter> waiters;  // in the order they came
  uint64_t next_waiter = 1;
  bool draining = false, stopping = false;

  // --- with the mutex held ---
  std::optional<size_t> find(std::string_view name) const;
  size_t need(std::string_view name) const;                           // throws ApiError 404
  void check_retry(const Entry& entry, Clock::time_point now) const;  // throws where a load failed
  int64_t used_bytes() const;
  int64_t room_needed(const Entry& wanted) const;  // bytes that others must give up for it; 0: fits
  // What the host's thread should do now, once `arrivals` are delivered. May change who leaves.
  Step next_step(Clock::time_point now, std::vector<Delivery>& arrivals);
  // Waiters of a model that is usable, as deliveries with leases counted.
  void collect(size_t entry, std::vector<Delivery>& out);
  // Those of a model that cannot be had.
  void collect_failed(size_t entry, const std::exception_ptr& error, std::vector<Delivery>& out);
  ModelState describe(const Entry& entry, Clock::time_point now) const;

  // --- with the mutex free ---
  // A lease that was counted already.
  ModelLease make_lease(size_t entry);
  void release(size_t entry);
  void deliver(std::vector<Delivery>& deliveries);

 private:
  Step make_room(size_t wanted, Clock::time_point now);
  void ask_to_leave(size_t wanted, Clock::time_point now, Step& step);
  std::optional<size_t> longest_unused(size_t except) const;
};

}  // namespace headgate
