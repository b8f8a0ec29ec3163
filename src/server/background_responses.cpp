// A map behind a lock.
#include "server/background_responses.h"

namespace headgate {

void BackgroundResponses::add(const std::string& response_id) {
  const std::lock_guard lock(mutex_);
  running_[response_id] = {};
}

void BackgroundResponses::set_request(const std::string& response_id, const ModelLease& model,
                                      RequestId request) {
  const std::lock_guard lock(mutex_);
  // A quick answer may be done already.
  const auto found = running_.find(response_id);
  if (found != running_.end()) found->second = {model, request};
}

void BackgroundResponses::remove(const std::string& response_id) {
  const std::lock_guard lock(mutex_);
  running_.erase(response_id);
}

bool BackgroundResponses::cancel(const std::string& response_id) const {
  Running running;
  {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(response_id);
    if (found == running_.end()) return false;
    running = found->second;
  }
  if (const ModelLease model = running.model.lock()) model->engine->cancel(running.request);
  return true;
}

}  // namespace headgate
