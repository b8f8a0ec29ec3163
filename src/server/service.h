// What every endpoint works with: the models, the stores, and who is being served.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/background_responses.h"
#include "server/http/http_server.h"
#include "server/metrics.h"
#include "server/rate_limits.h"
#include "server/worker_pool.h"

namespace headgate {

class AnswerEchoes;
class KeyStore;
class ModelHost;
class ResponseStore;
class SessionFolder;

// A number that a reload may change while workers read it.
template <typename T>
struct LiveNumber : std::atomic<T> {
  LiveNumber(T value) : std::atomic<T>(value) {}  // NOLINT(google-explicit-constructor)
  LiveNumber(const LiveNumber& other) : std::atomic<T>(other.load()) {}
  LiveNumber& operator=(const LiveNumber& other) {
    this->store(other.load());
    return *this;
  }
};

// Bounds on what one request may ask; see docs/serving.md.
struct ServiceLimits {
  // Of requests that name none; 0: until the context is full.
  LiveNumber<int64_t> default_max_tokens = 0;
  LiveNumber<double> request_seconds = 0;  // a request may take so long; 0: any time
  // Of each key; 0: no limit.
  LiveNumber<int64_t> requests_per_minute = 0, tokens_per_minute = 0;
  double stuck_seconds = 120;  // a step that lasts longer makes /health fail
};

// One request in the engine, for the live view.
struct ActiveRequest {
  std::string id, model;
  std::chrono::steady_clock::time_point arrived;
  std::atomic<int64_t> prompt_tokens{0}, cached_tokens{0}, done_tokens{0}, generated_tokens{0};
  std::atomic<bool> started{false};
};

class ActiveRequests {
 public:
  // The entry goes when the last holder of the pointer lets go.
  std::shared_ptr<ActiveRequest> add(const std::string& id, const std::string& model);
  std::vector<std::shared_ptr<ActiveRequest>> list() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<ActiveRequest>> entries_;
};

struct Service {
  ModelHost* host = nullptr;  // the models; outlives the server
  ServiceLimits limits;
  std::string version;
  std::shared_ptr<KeyStore> keys;            // null: no keys are known
  std::shared_ptr<ResponseStore> responses;  // null: nothing is stored
  std::shared_ptr<SessionFolder> sessions;   // null: none are kept
  std::shared_ptr<AnswerEchoes> echoes;      // null: nothing is repaired
  Metrics* metrics = nullptr;                // the host's
  ActiveRequests active;
  RateLimits rates;
  BackgroundResponses background;
  std::atomic<bool> draining{false};
  std::function<HttpServerCounts()> http_counts;
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  std::unique_ptr<WorkerPool> workers;  // last: its tasks use all of the above
};

}  // namespace headgate
