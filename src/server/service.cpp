// The list of requests under way.
#include "server/service.h"

#include <algorithm>

namespace headgate {

std::shared_ptr<ActiveRequest> ActiveRequests::add(const std::string& id,
                                                   const std::string& model) {
  auto entry = std::make_shared<ActiveRequest>();
  entry->id = id;
  entry->model = model;
  entry->arrived = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [](const std::weak_ptr<ActiveRequest>& e) { return e.expired(); }),
                 entries_.end());
  entries_.push_back(entry);
  return entry;
}

std::vector<std::shared_ptr<ActiveRequest>> ActiveRequests::list() const {
  std::vector<std::shared_ptr<ActiveRequest>> out;
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_)
    if (auto alive = entry.lock()) out.push_back(std::move(alive));
  return out;
}

}  // namespace headgate
