// Responses that are generated without their client: who runs, and how to end one.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "engine/engine.h"

namespace headgate {

// Thread rule: any thread.
class BackgroundResponses {
 public:
  // Before the request is submitted; its name in the engine follows with set_request().
  void add(const std::string& response_id);
  void set_request(const std::string& response_id, RequestId request);
  void remove(const std::string& response_id);
  // Of one that runs; nothing for others. A request that has no name yet has hardly begun: 0.
  std::optional<RequestId> find(const std::string& response_id) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, RequestId> running_;
};

}  // namespace headgate
