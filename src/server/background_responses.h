// Responses that are generated without their client: who runs, and how to end one.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "server/served_model.h"

namespace headgate {

// Thread rule: any thread.
class BackgroundResponses {
 public:
  // Before the request is submitted; its name in the engine follows with set_request().
  void add(const std::string& response_id);
  void set_request(const std::string& response_id, const ModelLease& model, RequestId request);
  void remove(const std::string& response_id);
  // Whether it ran until now. One that has no name yet has hardly begun, and goes on.
  bool cancel(const std::string& response_id) const;

 private:
  mutable std::mutex mutex_;
  struct Running {
    std::weak_ptr<const ServedModel> model;
    RequestId request = 0;
  };
  std::unordered_map<std::string, Running> running_;
};

}  // namespace headgate
