// A thread that reads or writes states, one job after the other, below everybody's priority.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace headgate {

// Tells one waiting thread that some worker has finished something.
class DiskBell {
 public:
  void ring() {
    const std::lock_guard lock(mutex_);
    ++rung_;
    wake_.notify_all();
  }
  // Until it has rung since the last call.
  void wait(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, most, [this] { return rung_ != heard_; });
    heard_ = rung_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  uint64_t rung_ = 0, heard_ = 0;
};

class DiskWorker {
 public:
  explicit DiskWorker(const char* name);
  ~DiskWorker();  // after the jobs that were posted
  DiskWorker(const DiskWorker&) = delete;
  DiskWorker& operator=(const DiskWorker&) = delete;

  void post(std::function<void()> job);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace headgate
