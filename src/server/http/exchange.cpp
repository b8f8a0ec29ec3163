// The answers of handlers on their way to a connection.
#include "server/http/exchange.h"

#include <utility>

#include "base/error.h"

namespace headgate {

Exchange::Exchange(HttpRequest request, int64_t buffer_limit)
    : request_(std::move(request)), buffer_limit_(buffer_limit) {}

void Exchange::respond(HttpResponse response) {
  {
    const std::lock_guard lock(mutex_);
    if (answered_) return;
    answered_ = finished_ = true;
    pending_.head = pending_.finished = true;
    pending_.response = std::move(response);
  }
  wake_up();
}

void Exchange::begin_stream(HttpResponse head) {
  {
    const std::lock_guard lock(mutex_);
    if (answered_) return;
    answered_ = true;
    pending_.head = pending_.stream = true;
    pending_.response = std::move(head);
  }
  wake_up();
}

bool Exchange::write(std::string_view bytes) {
  if (gone()) return false;
  bool too_slow = false;
  {
    const std::lock_guard lock(mutex_);
    HEADGATE_DCHECK(answered_);
    if (finished_) return false;
    // What waits here and what the socket has not taken yet count together.
    too_slow = static_cast<int64_t>(pending_.bytes.size()) + in_flight_.load() > buffer_limit_;
    if (!too_slow) pending_.bytes += bytes;
  }
  if (too_slow) {
    abort();
    return false;
  }
  wake_up();
  return true;
}

void Exchange::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return;
    finished_ = pending_.finished = true;
  }
  wake_up();
}

void Exchange::abort() {
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return;
    answered_ = finished_ = true;
    pending_.aborted = true;
  }
  wake_up();
}

bool Exchange::answered() const {
  const std::lock_guard lock(mutex_);
  return answered_;
}

void Exchange::on_gone(std::function<void()> action) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone()) {
      gone_actions_.push_back(std::move(action));
      return;
    }
  }
  action();
}

Exchange::Pending Exchange::take() {
  const std::lock_guard lock(mutex_);
  wake_sent_ = false;
  Pending taken = std::move(pending_);
  pending_ = Pending();
  return taken;
}

void Exchange::set_wake(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

void Exchange::mark_gone() {
  std::vector<std::function<void()>> actions;
  {
    const std::lock_guard lock(mutex_);
    if (gone_.exchange(true)) return;
    actions.swap(gone_actions_);
  }
  for (const auto& action : actions) action();
}

void Exchange::note(std::string_view name, int64_t value) {
  const std::lock_guard lock(mutex_);
  notes_.emplace_back(name, value);
}

std::vector<std::pair<std::string, int64_t>> Exchange::notes() const {
  const std::lock_guard lock(mutex_);
  return notes_;
}

void Exchange::wake_up() {
  const std::lock_guard lock(mutex_);
  if (wake_sent_ || !wake_) return;
  wake_sent_ = true;
  wake_();
}

}  // namespace headgate
