// What a parallel region costs, and that crowded pools finish work as soon as others.
//
// pool_bench: one line per thread count: an empty region, and a region of 32 tasks of about 13 us,
// in rounds taken in turns so that all counts meet the same disturbances.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/thread_pool.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 60;
constexpr int kRegions = 20;
constexpr int kWorkTasks = 32;

volatile float sink = 1.0f;

void work() {
  float value = sink;
  for (int i = 0; i < 6000; ++i) value = value * 0.999f + 0.001f;
  sink = value;
}

template <typename F>
double microseconds_per_region(ThreadPool& pool, int64_t tasks, const F& task) {
  pool.run(kWorkTasks, [](int64_t, int) { work(); });  // sleepers wake: the pools take turns
  const auto start = Clock::now();
  for (int i = 0; i < kRegions; ++i) pool.run(tasks, task);
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count() / kRegions;
}

double median(std::vector<double>& samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

void run() {
  const int cores = ThreadPool::default_threads();
  struct Case {
    std::unique_ptr<ThreadPool> pool;
    std::vector<double> empty, busy;
  };
  std::vector<Case> cases;
  for (const int threads : {1, cores, 2 * cores, 4 * cores, 128})
    cases.push_back({std::make_unique<ThreadPool>(threads), {}, {}});
  for (int round = 0; round < kRounds; ++round) {
    for (Case& c : cases) {
      c.empty.push_back(microseconds_per_region(*c.pool, c.pool->threads(), [](int64_t, int) {}));
      c.busy.push_back(microseconds_per_region(*c.pool, kWorkTasks, [](int64_t, int) { work(); }));
    }
  }
  const double normal = median(cases[1].busy);
  std::printf("%d cores\n%8s %12s %12s %10s\n", cores, "threads", "empty us", "work us", "ratio");
  for (Case& c : cases) {
    const double busy = median(c.busy);
    std::printf("%8d %12.2f %12.1f %10.2f\n", c.pool->threads(), median(c.empty), busy,
                busy / normal);
  }
}

}  // namespace
}  // namespace headgate

int main() { headgate::run(); }
