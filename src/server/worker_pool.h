// A few threads for what takes longer than the I/O thread may wait: JSON, templates, tokens to
// text.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace headgate {

// Thread rule: post() from any thread. Tasks must not throw and must not wait for each other.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);  // at least 2
  ~WorkerPool();                     // runs what was posted, then ends

  // Always leaves one thread to urgent tasks.
  void post(std::function<void()> task);
  // Before ordinary tasks: for streams, whose clients see every delay.
  void post_urgent(std::function<void()> task);
  int64_t waiting() const;

 private:
  void work();
  std::deque<std::function<void()>>* next_queue();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> urgent_, ordinary_;
  size_t busy_ordinary_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace headgate
