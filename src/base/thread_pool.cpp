// The pool: shares claimed by compare-and-swap, stealing, bounded spins, futex sleeps.
#include "base/thread_pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <utility>

#include "base/error.h"

namespace headgate {
namespace {

constexpr int64_t kMostTasks = 0xfffffffe;
constexpr int kDoneGroup = 8;  // workers that share a counter
// Regions follow each other within microseconds while a model runs; sleeping and waking costs more
// than this. With more threads than cores the thread that spins may hold the core of the one it
// waits for, so the spin is short.
constexpr int64_t kSpinNs = 40000;
constexpr int64_t kCrowdedSpinNs = 2000;
constexpr int kWokenAtOnce = 4;  // each thread that wakes wakes as many again

using Clock = std::chrono::steady_clock;

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

void futex_wait(std::atomic<uint32_t>& word, uint32_t while_equal) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, while_equal, nullptr,
            nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>& word, int threads) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, threads, nullptr,
            nullptr, 0);
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

uint64_t make_share(int64_t first, int64_t end) {
  return static_cast<uint64_t>(first) | static_cast<uint64_t>(end) << 32;
}
int64_t share_first(uint64_t share) { return static_cast<int64_t>(share & 0xffffffff); }
int64_t share_end(uint64_t share) { return static_cast<int64_t>(share >> 32); }

// Calls `ready` until it is true or `ns` have passed.
template <typename F>
bool spin(int64_t ns, const F& ready) {
  if (ready()) return true;
  const auto end = Clock::now() + std::chrono::nanoseconds(ns);
  do {
    for (int i = 0; i < 16; ++i) {
      relax();
      if (ready()) return true;
    }
  } while (Clock::now() < end);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(const ThreadPoolOptions& options)
    : threads_(options.threads > 0 ? options.threads : default_threads()),
      spin_ns_(kSpinNs),
      topology_(options.topology != nullptr ? *options.topology : machine_topology()),
      workers_(static_cast<size_t>(threads_)),
      done_(static_cast<size_t>((threads_ + kDoneGroup - 1) / kDoneGroup)) {
  const auto cores = static_cast<int64_t>(topology_.cores.size());
  pin_ = options.pin && threads_ <= cores;
  for (int worker = 0; worker < threads_; ++worker) {
    // Spread over the nodes, in their order: neighbouring shares lie on one node.
    const CorePlace& core = topology_.cores[static_cast<size_t>(worker * cores / threads_)];
    workers_[static_cast<size_t>(worker)].node = core.node;
    workers_[static_cast<size_t>(worker)].cpu = core.cpu;
    nodes_ = std::max(nodes_, core.node + 1);
  }
  const int cpus = std::max(1, static_cast<int>(topology_.cpus.size()));
  if (threads_ > cpus) spin_ns_ = kCrowdedSpinNs;
  // Waking more workers than there are CPUs only makes them take turns.
  most_helpers_ = std::min(threads_, cpus) - 1;
  start_workers();
}

void ThreadPool::start_workers() {
  for (int worker = 1; worker < threads_; ++worker)
    handles_.emplace_back([this, worker] { worker_main(worker); });
}

void ThreadPool::bind(int worker) const {
  const Worker& w = workers_[static_cast<size_t>(worker)];
  if (pin_) {
    bind_thread({w.cpu});
  } else if (nodes_ > 1) {
    std::vector<int> cpus;
    for (const CorePlace& core : topology_.cores) {
      if (core.node == w.node) cpus.push_back(core.cpu);
    }
    bind_thread(cpus);
  } else if (worker > 0) {
    bind_thread(topology_.cpus);  // the thread that made the pool may be pinned by another pool
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  epoch_.fetch_add(1);
  futex_wake(epoch_, INT_MAX);
  for (std::thread& handle : handles_) handle.join();
}

void ThreadPool::run(int64_t tasks, TaskRef f) {
  if (tasks <= 0) return;
  HEADGATE_CHECK(tasks <= kMostTasks && !running_.exchange(true, std::memory_order_acquire));
  struct Closed {
    std::atomic<bool>& running;
    ~Closed() { running.store(false, std::memory_order_release); }
  } closed{running_};
  if ((pin_ || nodes_ > 1) && bound_caller_ != std::this_thread::get_id()) {
    bind(0);
    bound_caller_ = std::this_thread::get_id();
  }
  if (threads_ == 1 || tasks == 1) {
    for (int64_t task = 0; task < tasks; ++task) f(task, 0);
    return;
  }
  for (Done& group : done_) group.tasks.store(0, std::memory_order_relaxed);
  task_.store(&f, std::memory_order_relaxed);
  const int64_t shares = std::min<int64_t>(threads_, tasks);
  shares_.store(static_cast<int32_t>(shares), std::memory_order_relaxed);
  // Publishing a share opens it: a claim reads it with acquire and so sees everything above, even
  // when the thread that claims is late from the region before.
  for (int64_t i = 0; i < shares; ++i) {
    workers_[static_cast<size_t>(i)].share.store(
        make_share(tasks * i / shares, tasks * (i + 1) / shares), std::memory_order_release);
  }
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0)
    futex_wake(epoch_, std::clamp(static_cast<int>(shares) - 1, 1,
                                  std::clamp(most_helpers_, 1, kWokenAtOnce)));
  work(0);
  wait_until_done(tasks);
  if (failed_.load(std::memory_order_acquire)) {
    failed_.store(false, std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(exception_, nullptr));
  }
}

bool ThreadPool::all_done(int64_t tasks) const {
  int64_t done = 0;
  for (const Done& group : done_) done += group.tasks.load(std::memory_order_seq_cst);
  return done == tasks;
}

void ThreadPool::wait_until_done(int64_t tasks) {
  const auto ready = [&] { return all_done(tasks); };
  if (spin(spin_ns_, ready)) return;
  // Either all_done() sees the last tasks done, or the worker that does them sees caller_sleeps_.
  caller_sleeps_.store(true, std::memory_order_seq_cst);
  while (true) {
    const uint32_t finish = finish_.load(std::memory_order_seq_cst);
    if (all_done(tasks)) break;
    futex_wait(finish_, finish);
  }
  caller_sleeps_.store(false, std::memory_order_relaxed);
}

int64_t ThreadPool::run_claimed(int64_t task, int worker) {
  if (failed_.load(std::memory_order_relaxed)) return 1;
  try {
    (*task_.load(std::memory_order_relaxed))(task, worker);
  } catch (...) {
    note_exception(task);
  }
  return 1;
}

void ThreadPool::note_exception(int64_t task) {
  const std::lock_guard lock(exception_mutex_);
  if (exception_ == nullptr || task < exception_task_) {
    exception_ = std::current_exception();
    exception_task_ = task;
  }
  failed_.store(true, std::memory_order_release);
}

int64_t ThreadPool::drain_own(int worker) {
  std::atomic<uint64_t>& share = workers_[static_cast<size_t>(worker)].share;
  int64_t done = 0;
  uint64_t now = share.load(std::memory_order_acquire);
  while (share_first(now) < share_end(now)) {
    const int64_t task = share_first(now);
    if (!share.compare_exchange_weak(now, make_share(task + 1, share_end(now)),
                                     std::memory_order_acquire, std::memory_order_acquire))
      continue;
    done += run_claimed(task, worker);
    now = share.load(std::memory_order_acquire);
  }
  return done;
}

int64_t ThreadPool::steal(int worker, int victim) {
  std::atomic<uint64_t>& share = workers_[static_cast<size_t>(victim)].share;
  int64_t done = 0;
  uint64_t now = share.load(std::memory_order_acquire);
  while (share_first(now) < share_end(now)) {
    // From the end: what the owner comes to last.
    const int64_t task = share_end(now) - 1;
    if (!share.compare_exchange_weak(now, make_share(share_first(now), task),
                                     std::memory_order_acquire, std::memory_order_acquire))
      continue;
    done += run_claimed(task, worker);
    now = share.load(std::memory_order_acquire);
  }
  return done;
}

void ThreadPool::work(int worker) {
  int64_t done = drain_own(worker);
  const int shares = shares_.load(std::memory_order_relaxed);
  const int node = workers_[static_cast<size_t>(worker)].node;
  for (int pass = 0; pass < (nodes_ > 1 ? 2 : 1); ++pass) {
    for (int i = 1; i <= shares; ++i) {
      const int victim = (worker + i) % shares;
      const bool near = workers_[static_cast<size_t>(victim)].node == node;
      if (victim != worker && (nodes_ == 1 || near == (pass == 0))) done += steal(worker, victim);
    }
  }
  if (done == 0) return;
  done_[static_cast<size_t>(worker / kDoneGroup)].tasks.fetch_add(done, std::memory_order_seq_cst);
  if (worker != 0 && caller_sleeps_.load(std::memory_order_seq_cst)) {
    finish_.fetch_add(1, std::memory_order_seq_cst);
    futex_wake(finish_, 1);
  }
}

uint32_t ThreadPool::next_epoch(uint32_t seen) {
  uint32_t epoch = seen;
  const auto ready = [&] {
    epoch = epoch_.load(std::memory_order_acquire);
    return epoch != seen;
  };
  if (spin(spin_ns_, ready)) return epoch;
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while ((epoch = epoch_.load(std::memory_order_seq_cst)) == seen) futex_wait(epoch_, seen);
  // The caller wakes a few; where more can help they are woken from here.
  const bool others = sleepers_.fetch_sub(1, std::memory_order_seq_cst) > 1;
  const int helpers = std::min(most_helpers_, shares_.load(std::memory_order_relaxed) - 1);
  if (others && threads_ == most_helpers_ + 1 && helpers > kWokenAtOnce)
    futex_wake(epoch_, kWokenAtOnce);
  return epoch;
}

void ThreadPool::worker_main(int worker) {
  bind(worker);
  uint32_t seen = 0;
  while (true) {
    seen = next_epoch(seen);
    if (stopping_.load()) return;
    work(worker);
  }
}

}  // namespace headgate
