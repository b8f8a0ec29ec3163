// What every endpoint works with: the model, its engine, the stores, and who is being served.
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

#include "base/json.h"
#include "chat/chat_template.h"
#include "engine/engine.h"
#include "sampling/sampler.h"
#include "server/background_responses.h"
#include "server/http/http_server.h"
#include "server/metrics.h"
#include "server/worker_pool.h"
#include "text/tokenizer.h"

namespace headgate {

class ConstraintCache;
class KeyStore;
class ResponseStore;
class SessionFolder;
class TokenTrie;

// A loaded model under the name that clients use. What it points to outlives the server.
struct ServedModel {
  std::string name;
  std::vector<std::string> aliases;
  Engine* engine = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;  // nullptr: no chat endpoints
  SamplingParams sampling_defaults;
  std::vector<int32_t> stop_tokens;
  int64_t created = 0;  // seconds since 1970

  bool answers_to(std::string_view wanted) const;
};

// Bounds on what one request may ask; see docs/serving.md.
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

struct ServiceLimits {
  // Of requests that name none; 0: until the context is full.
  LiveNumber<int64_t> default_max_tokens = 0;
  LiveNumber<double> request_seconds = 0;  // a request may take so long; 0: any time
  double stuck_seconds = 120;              // a step that lasts longer makes /health fail
};

// One request in the engine, for the live view.
struct ActiveRequest {
  std::string id;
  std::chrono::steady_clock::time_point arrived;
  std::atomic<int64_t> prompt_tokens{0}, cached_tokens{0}, done_tokens{0}, generated_tokens{0};
  std::atomic<bool> started{false};
};

class ActiveRequests {
 public:
  // The entry goes when the last holder of the pointer lets go.
  std::shared_ptr<ActiveRequest> add(const std::string& id);
  std::vector<std::shared_ptr<ActiveRequest>> list() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<ActiveRequest>> entries_;
};

struct Service {
  Service();
  ~Service();

  ServedModel model;
  ServiceLimits limits;
  std::string version;
  std::shared_ptr<KeyStore> keys;            // null: no keys are known
  std::shared_ptr<ResponseStore> responses;  // null: nothing is stored
  std::shared_ptr<SessionFolder> sessions;   // null: none are kept
  std::shared_ptr<const TokenTrie> trie;
  std::unique_ptr<ConstraintCache> constraints;
  std::unique_ptr<Metrics> metrics;
  ActiveRequests active;
  BackgroundResponses background;
  std::atomic<bool> draining{false};
  std::function<HttpServerCounts()> http_counts;
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  json::object special_tokens;          // texts that templates may use
  std::unique_ptr<WorkerPool> workers;  // last: its tasks use all of the above
};

}  // namespace headgate
