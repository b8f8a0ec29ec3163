// A pool of threads that run the numbered tasks of one parallel region at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/topology.h"

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

struct ThreadPoolOptions {
  int threads = 0;  // counts the caller of run() too; 0 means default_threads()
  // Every thread stays on a core of its own: for a machine that is ours alone. Ignored with more
  // threads than cores. Without it threads stay on their NUMA node, where there are several.
  bool pin = false;
  const Topology* topology = nullptr;  // null: machine_topology(); must outlive the pool
};

// Every worker owns a contiguous share of a region's tasks, the same share for the same number of
// tasks: memory that worker w touched first stays near it. A worker that is done takes tasks from
// the end of others' shares, on its own NUMA node first, so no region relies on every thread being
// scheduled. Between regions workers spin for a bounded time, then sleep.
//
// Thread rule: run() may be called from one thread at a time; tasks must not call run().
// Which worker runs which task is not defined, so results must depend on the task number only: then
// they are the same for every thread count.
class ThreadPool {
 public:
  explicit ThreadPool(int threads = 0) : ThreadPool(ThreadPoolOptions{threads, false, nullptr}) {}
  explicit ThreadPool(const ThreadPoolOptions& options);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }
  bool pinned() const { return pin_; }
  // NUMA nodes the workers are spread over, and the node of one.
  int nodes() const { return nodes_; }
  int node_of(int worker) const { return workers_[static_cast<size_t>(worker)].node; }

  // Runs f(task, worker) for every task in [0, tasks), worker in [0, threads()); returns when all
  // are done. At most 2^32 - 2 tasks. When tasks throw, those not begun yet are dropped and the
  // exception of the lowest-numbered task among those that threw is thrown here. With `pin` or
  // several NUMA nodes the calling thread is moved to the place of worker 0.
  void run(int64_t tasks, TaskRef f);

  // Physical cores this process may use: affinity mask and cgroup CPU quotas respected, at least 1.
  static int default_threads() { return machine_topology().default_threads(); }

 private:
  // What a worker shares with others, on cache lines of its own.
  struct alignas(128) Worker {
    std::atomic<uint64_t> share{0};  // first task in the low half, end in the high half
    int node = 0;
    int cpu = 0;
  };
  // Tasks done by the workers of a group, so that 128 workers do not fight for one line.
  struct alignas(128) Done {
    std::atomic<int64_t> tasks{0};
  };

  void start_workers();
  void bind(int worker) const;  // moves the calling thread to the place of the worker
  void worker_main(int worker);
  // Takes part in the open region, if any: own share, then the others'.
  void work(int worker);
  int64_t drain_own(int worker);
  int64_t steal(int worker, int victim);
  int64_t run_claimed(int64_t task, int worker);
  void note_exception(int64_t task);
  bool all_done(int64_t tasks) const;
  void wait_until_done(int64_t tasks);
  // The epoch after `seen`, waited for by spinning, then by sleeping.
  uint32_t next_epoch(uint32_t seen);

  int threads_;
  bool pin_ = false;
  int nodes_ = 1;
  int64_t spin_ns_;
  int most_helpers_ = 0;  // workers worth waking for a region
  const Topology& topology_;
  std::vector<Worker> workers_;
  std::vector<Done> done_;
  std::vector<std::thread> handles_;
  std::thread::id bound_caller_;

  alignas(128) std::atomic<uint32_t> epoch_{0};  // of regions; what idle workers sleep on
  std::atomic<int32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<const TaskRef*> task_{nullptr};
  std::atomic<int32_t> shares_{0};  // workers that own tasks of the region
  std::atomic<bool> running_{false};
  std::atomic<bool> failed_{false};

  alignas(128) std::atomic<uint32_t> finish_{0};  // what the caller sleeps on
  std::atomic<bool> caller_sleeps_{false};

  std::mutex exception_mutex_;
  std::exception_ptr exception_;
  int64_t exception_task_ = 0;
};

}  // namespace headgate
