// The pool: every task once, at every thread count, crowded or not, with exceptions and nodes.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace headgate {
namespace {

Topology two_nodes() {
  Topology topology;
  topology.nodes = 2;
  for (int cpu = 0; cpu < 8; ++cpu) {
    topology.cpus.push_back(9000 + cpu);  // the kernel refuses to bind to these
    topology.cores.push_back({9000 + cpu, cpu / 4});
  }
  return topology;
}

TEST(ThreadPool, RunsEveryTaskOnceAtEveryThreadCount) {
  for (const int threads : {1, 2, 3, 8, 32, 128}) {
    ThreadPool pool(threads);
    for (int round = 0; round < (threads > 8 ? 50 : 400); ++round) {
      std::vector<std::atomic<int>> hits(static_cast<size_t>(1 + round * 7 % 331));
      pool.run(static_cast<int64_t>(hits.size()), [&](int64_t task, int worker) {
        ASSERT_LT(worker, threads);
        hits[static_cast<size_t>(task)].fetch_add(1);
      });
      for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1);
    }
  }
}

TEST(ThreadPool, MakesPlainWritesOfTasksVisible) {
  ThreadPool pool(4);
  std::vector<int64_t> values(1000);
  for (int round = 0; round < 100; ++round) {
    pool.run(1000, [&](int64_t task, int) { values[static_cast<size_t>(task)] += task; });
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 100 * 999 * 1000 / 2);
}

TEST(ThreadPool, WorkersThatSleepWakeForTheNextRegion) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // far beyond the spin
    std::atomic<int> sum{0};
    pool.run(30, [&](int64_t task, int) { sum += static_cast<int>(task); });
    EXPECT_EQ(sum.load(), 29 * 30 / 2);
  }
}

TEST(ThreadPool, TheCallerSleepsUntilALongTaskOfAnotherIsDone) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  std::atomic<bool> other_began{false};
  pool.run(2, [&](int64_t, int worker) {
    if (worker == 1) {
      other_began = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    } else {
      // Leaves the second task to the other worker.
      while (!other_began) std::this_thread::yield();
    }
    ++done;
  });
  EXPECT_EQ(done.load(), 2);
}

// The owner of the first half of the tasks stands still until the others have taken the rest of
// its share.
TEST(ThreadPool, TasksOfAWorkerThatStandsStillAreStolen) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  pool.run(64, [&](int64_t task, int worker) {
    if (task == 0 && worker == 0) {
      while (done < 63) std::this_thread::yield();
    }
    ++done;
  });
  EXPECT_EQ(done.load(), 64);
}

TEST(ThreadPool, ThrowsTheExceptionOfATaskAndStaysUsable) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::string what;
      try {
        pool.run(100, [&](int64_t task, int) {
          if (task % 10 == 3) throw std::runtime_error(std::to_string(task));
        });
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      ASSERT_FALSE(what.empty());
      EXPECT_EQ(what.back(), '3');
      std::atomic<int> hits{0};
      pool.run(100, [&](int64_t, int) { ++hits; });
      ASSERT_EQ(hits.load(), 100);
    }
  }
}

TEST(ThreadPool, OneTaskThatThrowsIsTheOneSeen) {
  ThreadPool pool(3);
  EXPECT_THROW(pool.run(50,
                        [&](int64_t task, int) {
                          if (task == 49) throw std::out_of_range("49");
                        }),
               std::out_of_range);
}

TEST(ThreadPool, WorkersAreSpreadOverNodesInOrder) {
  const Topology topology = two_nodes();
  for (const int threads : {2, 4, 8, 16}) {
    ThreadPool pool(ThreadPoolOptions{threads, threads <= 8, &topology});
    EXPECT_EQ(pool.nodes(), 2);
    for (int worker = 0; worker < threads; ++worker)
      EXPECT_EQ(pool.node_of(worker), worker < threads / 2 ? 0 : 1) << worker;
    std::vector<std::atomic<int>> hits(1000);
    for (int round = 0; round < 20; ++round) {
      pool.run(1000, [&](int64_t task, int) { ++hits[static_cast<size_t>(task)]; });
    }
    for (const auto& hit : hits) ASSERT_EQ(hit.load(), 20);
  }
}

// While nobody steals, a worker gets the same share of as many tasks in every region: that is what
// keeps memory near the worker that touched it first.
TEST(ThreadPool, SharesAreContiguousAndAlwaysTheSame) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::vector<int> owner(2, -1);
    std::atomic<int> arrived{0};
    pool.run(2, [&](int64_t task, int worker) {
      owner[static_cast<size_t>(task)] = worker;
      ++arrived;
      // Nobody is free to steal before both have a task.
      while (arrived < 2) std::this_thread::yield();
    });
    EXPECT_EQ(owner, (std::vector<int>{0, 1}));
  }
}

TEST(ThreadPool, PinsEveryThreadToACoreOfItsOwn) {
  std::thread([] {  // run() moves the thread that calls it
    const int cores = static_cast<int>(machine_topology().cores.size());
    ThreadPool pool(ThreadPoolOptions{cores, true, nullptr});
    EXPECT_TRUE(pool.pinned());
    std::atomic<int> arrived{0};
    pool.run(cores, [&](int64_t, int) {
      ++arrived;
      while (arrived < cores) std::this_thread::yield();
    });
    EXPECT_EQ(arrived.load(), cores);
    EXPECT_FALSE(ThreadPool(ThreadPoolOptions{cores + 1, true, nullptr}).pinned());
  })
      .join();
  EXPECT_GE(ThreadPool::default_threads(), 1);
}

}  // namespace
}  // namespace headgate
