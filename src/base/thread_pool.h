// A pool of threads that run the numbered tasks of one parallel region at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace headgate {

// Non-owning reference to a callable taking (task, worker). Lives only for the call.
class TaskRef {
 public:
  template <typename F>
  TaskRef(const F& f)  // NOLINT(google-explicit-constructor): meant to be converted at the call
      : object_(&f), call_([](const void* object, int64_t task, int worker) {
          (*static_cast<const F*>(object))(task, worker);
        }) {}
  void operator()(int64_t task, int worker) const { call_(object_, task, worker); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t, int);
};

// Thread rule: run() may be called from one thread at a time; tasks must not call run().
// Which worker runs which task is not defined, so results must depend on the task number only: then
// they are the same for every thread count.
class ThreadPool {
 public:
  // `threads` counts the caller too; 0 means default_threads().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Runs f(task, worker) for every task in [0, tasks), worker in [0, threads()); returns when all
  // are done. Tasks are taken one by one from a shared counter, so no region relies on every thread
  // being scheduled. Tasks must not throw; at most 2^32 - 2 of them.
  void run(int64_t tasks, TaskRef f);

  // Physical cores this process may use: affinity mask and cgroup CPU quota respected, at least 1.
  static int default_threads();

 private:
  void worker_main(int worker);
  void work(uint32_t generation, int worker);

  int threads_;
  std::vector<std::thread> workers_;
  // Generation of the region in the high half, next task in the low half; kClosed when no region is
  // open. A worker that wakes late finds another generation or a closed region and claims nothing.
  std::atomic<uint64_t> ticket_;
  std::atomic<const TaskRef*> task_{nullptr};
  std::atomic<int64_t> tasks_{0};
  std::atomic<int64_t> completed_{0};
  std::atomic<uint32_t> epoch_{0};  // what idle workers sleep on
  std::atomic<bool> stopping_{false};
};

}  // namespace headgate
