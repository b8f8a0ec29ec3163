// Threads that take tasks from two queues.
#include "server/worker_pool.h"

#include <utility>

#include "base/error.h"

namespace headgate {

WorkerPool::WorkerPool(int threads) {
  HEADGATE_CHECK(threads >= 2);
  const std::lock_guard lock(mutex_);  // threads_ is complete before the first of them looks
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    ordinary_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void WorkerPool::post_urgent(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    urgent_.push_back(std::move(task));
  }
  changed_.notify_one();
}

int64_t WorkerPool::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(urgent_.size() + ordinary_.size());
}

// The queue to take from; nullptr when there is nothing to do for now.
std::deque<std::function<void()>>* WorkerPool::next_queue() {
  if (!urgent_.empty()) return &urgent_;
  const bool may_take = busy_ordinary_ + 1 < threads_.size() || stopping_;
  return !ordinary_.empty() && may_take ? &ordinary_ : nullptr;
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return next_queue() != nullptr || stopping_; });
    std::deque<std::function<void()>>* queue = next_queue();
    if (queue == nullptr) return;
    const bool ordinary = queue == &ordinary_;
    std::function<void()> task = std::move(queue->front());
    queue->pop_front();
    busy_ordinary_ += ordinary;
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    busy_ordinary_ -= ordinary;
    if (ordinary && !ordinary_.empty()) changed_.notify_one();
  }
}

}  // namespace headgate
