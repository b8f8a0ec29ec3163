// The pool: bounded spin, then sleep; tasks are claimed from one atomic ticket.
#include "base/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>

#include "base/error.h"

namespace headgate {
namespace {

constexpr uint32_t kClosed = 0xffffffff;
// Regions follow each other within microseconds while a model runs; sleeping costs more than this.
constexpr auto kSpin = std::chrono::microseconds(50);

uint64_t make_ticket(uint32_t generation, uint32_t task) {
  return (static_cast<uint64_t>(generation) << 32) | task;
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// CPUs granted by a cgroup v2 quota ("max 100000" or "150000 100000"), or a large number without
// one.
double cgroup_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1e9;
  return std::strtod(quota.c_str(), nullptr) / period;
}

// True for the first hardware thread of its core (or when the kernel does not say).
bool is_first_of_core(int cpu) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                     "/topology/thread_siblings_list");
  int first = cpu;
  return !(file >> first) || first == cpu;
}

}  // namespace

int ThreadPool::default_threads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  int cores = 0;
  int cpus = 0;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      ++cpus;
      cores += is_first_of_core(cpu) ? 1 : 0;
    }
  }
  // An affinity mask of second hyper-threads only still means one core each.
  if (cores == 0) cores = std::max(cpus, 1);
  return std::max(1, static_cast<int>(std::min<double>(cores, std::ceil(cgroup_cpus()))));
}

ThreadPool::ThreadPool(int threads)
    : threads_(threads > 0 ? threads : default_threads()), ticket_(make_ticket(0, kClosed)) {
  for (int worker = 1; worker < threads_; ++worker) {
    workers_.emplace_back([this, worker] { worker_main(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t tasks, TaskRef f) {
  if (tasks <= 0) return;
  HEADGATE_CHECK(tasks < kClosed);
  if (threads_ == 1 || tasks == 1) {
    for (int64_t task = 0; task < tasks; ++task) f(task, 0);
    return;
  }
  const auto generation = static_cast<uint32_t>(ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  task_.store(&f, std::memory_order_relaxed);
  tasks_.store(tasks, std::memory_order_relaxed);
  completed_.store(0, std::memory_order_relaxed);
  ticket_.store(make_ticket(generation, 0), std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  work(generation, 0);
  for (int spins = 0; completed_.load(std::memory_order_acquire) != tasks; ++spins) {
    relax();
    // With more threads than cores the worker we wait for may need this core.
    if (spins > 2000) std::this_thread::yield();
  }
  ticket_.store(make_ticket(generation, kClosed), std::memory_order_release);
}

void ThreadPool::work(uint32_t generation, int worker) {
  while (true) {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    const auto task = static_cast<uint32_t>(ticket);
    if (static_cast<uint32_t>(ticket >> 32) != generation || task == kClosed ||
        task >= tasks_.load(std::memory_order_relaxed)) {
      return;
    }
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
    (*task_.load(std::memory_order_relaxed))(task, worker);
    completed_.fetch_add(1, std::memory_order_acq_rel);
  }
}

void ThreadPool::worker_main(int worker) {
  uint32_t seen = 0;
  while (true) {
    const auto spin_end = std::chrono::steady_clock::now() + kSpin;
    uint32_t epoch = epoch_.load(std::memory_order_acquire);
    while (epoch == seen && std::chrono::steady_clock::now() < spin_end) {
      for (int i = 0; i < 32; ++i) relax();
      epoch = epoch_.load(std::memory_order_acquire);
    }
    if (epoch == seen) {
      epoch_.wait(seen, std::memory_order_acquire);
      epoch = epoch_.load(std::memory_order_acquire);
    }
    seen = epoch;
    if (stopping_.load()) return;
    work(static_cast<uint32_t>(ticket_.load(std::memory_order_acquire) >> 32), worker);
  }
}

}  // namespace headgate
