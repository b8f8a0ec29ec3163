// A map behind a lock.
#include "server/background_responses.h"

namespace headgate {

void BackgroundResponses::add(const std::string& response_id) {
  const std::lock_guard lock(mutex_);
  running_[response_id] = 0;
}

void BackgroundResponses::set_request(const std::string& response_id, RequestId request) {
  const std::lock_guard lock(mutex_);
  // A quick answer may be done already.
  const auto found = running_.find(response_id);
  if (found != running_.end()) found->second = request;
}

void BackgroundResponses::remove(const std::string& response_id) {
  const std::lock_guard lock(mutex_);
  running_.erase(response_id);
}

std::optional<RequestId> BackgroundResponses::find(const std::string& response_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(response_id);
  if (found == running_.end()) return std::nullopt;
  return found->second;
}

}  // namespace headgate
