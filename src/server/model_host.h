// Several models by name: loaded when they are asked for, unloaded when others need their memory or
// nobody wants them.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "server/served_model.h"

namespace headgate {

class Metrics;

// What is known of a model that may not be loaded. The context is an estimate until it is.
struct ModelFacts {
  int64_t context = 0;  // tokens of a request
  int64_t trained_context = 0;
  int64_t vocabulary = 0;
  int64_t hidden_size = 0;
  int64_t weight_bytes = 0;
  int64_t state_bytes = 0;  // most that pages and states may take; 0: not known
};

// A model that the host may load.
struct HostedModel {
  std::string name;
  std::vector<std::string> aliases;
  ModelFacts facts;
  // Makes it ready; called on the host's thread, or on that of load_now(). Throws what loading
  // throws, kCancelled where `progress` returned false.
  std::function<ServedModel(const LoadProgress& progress)> load;
};

struct HostOptions {
  int64_t budget_bytes = 0;    // of all loaded models, weights and states; 0: no bound
  double idle_seconds = 0;     // a model that nobody used for so long is unloaded; 0: never
  double wait_seconds = 120;   // a request waits so long for its model
  int64_t max_waiting = 1024;  // requests that wait for models
  // A model that is busy gives its place to one that waits only after it has had it for so long.
  double turn_seconds = 5;
  double retry_seconds = 10;  // a load that failed is not tried again before
  std::string version;        // for answers' fingerprints
};

enum class ModelPhase { kUnloaded, kLoading, kLoaded, kLeaving, kUnloading, kFailed };
std::string_view phase_name(ModelPhase phase);  // "unloaded", "loading", ...

// One model as it is now.
struct ModelState {
  std::string name;
  std::vector<std::string> aliases;
  ModelFacts facts;
  ModelPhase phase = ModelPhase::kUnloaded;
  int64_t created = 0;       // when it was last loaded, or the host made; seconds since 1970
  int64_t memory_bytes = 0;  // that it counts for in the budget now
  int64_t requests = 0;      // that hold it
  int64_t waiting = 0;       // requests that wait for it
  double progress = 0;       // of the load, 0 to 1
  double idle_seconds = 0;   // while nobody holds it
  double load_seconds = 0;   // the last load took
  int64_t loads = 0, unloads = 0, failures = 0;
  std::string error;  // of the last load, where it failed
};

// Thrown by what needs a model that is not loaded: ModelHost::wait() says when it is.
class ModelAway : public std::exception {
 public:
  explicit ModelAway(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  const char* what() const noexcept override { return "the model is not loaded"; }

 private:
  std::string name_;
};

// One thread loads and unloads, one model at a time. Which: requests' wishes in the order they
// came. Room is made by models that nobody uses, the longest unused first; where all are in use,
// one of them takes no new requests (they wait) and goes when its last answer ends.
//
// Thread rule: every method from any thread, except the destructor. A lease must not be used after
// the host is gone, but may be let go of.
class ModelHost {
 public:
  using Clock = std::chrono::steady_clock;
  // One of both: the model, or why there is none (an ApiError). Called once, on any thread and
  // never from within wait(): be quick.
  using Arrival = std::function<void(ModelLease model, std::exception_ptr error)>;

  // The first of `models` is that of requests which name none. Throws kInvalidArgument for names
  // that occur twice and for a model that does not fit the budget.
  ModelHost(std::vector<HostedModel> models, const HostOptions& options);
  // Ends what still runs, unloads everything.
  ~ModelHost();
  ModelHost(const ModelHost&) = delete;
  ModelHost& operator=(const ModelHost&) = delete;

  // Loads a model on this thread and throws what its load throws. For the start, before anybody
  // else uses the host; throws kResourceExhausted when what is loaded leaves no room.
  void load_now(std::string_view name);

  // The model of a name or alias (empty: the first), or null where wait() must be called. Throws
  // ApiError: 404 for a name that does not exist here, 503 where loading it just failed.
  ModelLease take(std::string_view name);
  // Asks for a model and calls `arrival` when it is there, when it cannot be, or at the deadline at
  // the latest; HostOptions::wait_seconds from now at most. Throws ApiError 429 when too many wait,
  // 503 while draining. Returns what forget() takes.
  uint64_t wait(std::string_view name, Clock::time_point deadline, Arrival arrival);
  // The request gave up: no arrival is called where none was yet.
  void forget(uint64_t waiter);
  // Ends waits whose time is over; to be called twice a second or so.
  void tick();

  std::vector<ModelState> list() const;
  // The models that are loaded now, by reference and without using them up.
  std::vector<ModelLease> loaded() const;
  int64_t budget_bytes() const;

  // Changes everything but the version from now on.
  void set_options(const HostOptions& options);

  // No more loads and no new requests; requests that wait for a model get 503.
  void stop_accepting();
  // stop_accepting(), then Engine::drain() of every loaded model.
  void drain(Clock::time_point deadline);

  Metrics& metrics() const;

 private:
  struct State;
  class Worker;
  std::shared_ptr<State> state_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace headgate
