// Topology and quotas read from trees of files like the kernel's.
#include "base/topology.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace headgate {
namespace {

class FakeMachine : public testing::Test {
 protected:
  FakeMachine() : root_(testing::TempDir() + "headgate_topology") {
    std::filesystem::remove_all(root_);
    roots_.sys = root_ + "/sys";
    roots_.cgroup_file = root_ + "/cgroup";
  }
  ~FakeMachine() override { std::filesystem::remove_all(root_); }

  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }

  // Two nodes of two cores with two hardware threads each: CPUs 0-3, then their siblings 4-7.
  void two_nodes() const {
    for (int cpu = 0; cpu < 8; ++cpu) {
      put("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
          std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4) + "\n");
    }
    put("/sys/devices/system/node/online", "0,2\n");
    put("/sys/devices/system/node/node0/cpulist", "0,2,4,6\n");
    put("/sys/devices/system/node/node2/cpulist", "1,3,5,7\n");
  }

  std::string root_;
  TopologyRoots roots_;
};

std::vector<int> cpus_of(const Topology& topology) {
  std::vector<int> cpus;
  for (const CorePlace& core : topology.cores) cpus.push_back(core.cpu);
  return cpus;
}

TEST(CpuList, ParsesRangesAndStopsAtRubbish) {
  EXPECT_EQ(parse_cpu_list("0-2,5\n"), (std::vector<int>{0, 1, 2, 5}));
  EXPECT_EQ(parse_cpu_list(""), std::vector<int>{});
  EXPECT_EQ(parse_cpu_list("3,x"), std::vector<int>{3});
  EXPECT_EQ(parse_cpu_list("4-"), std::vector<int>{});
  EXPECT_LE(parse_cpu_list("0-2000000000").size(), 8192u);
}

TEST_F(FakeMachine, OneThreadACoreOrderedByNode) {
  two_nodes();
  const Topology t = read_topology({0, 1, 2, 3, 4, 5, 6, 7}, roots_);
  EXPECT_EQ(cpus_of(t), (std::vector<int>{0, 2, 1, 3}));
  EXPECT_EQ(t.nodes, 2);
  EXPECT_EQ(t.cores[1].node, 0);
  EXPECT_EQ(t.cores[2].node, 1);
  EXPECT_EQ(t.default_threads(), 4);
}

TEST_F(FakeMachine, TheAffinityMaskChoosesCoresAndNodes) {
  two_nodes();
  // Second hardware threads only still mean one core each; the only node left is node 0.
  const Topology t = read_topology({5, 7}, roots_);
  EXPECT_EQ(cpus_of(t), (std::vector<int>{5, 7}));
  EXPECT_EQ(t.nodes, 1);
  EXPECT_EQ(t.default_threads(), 2);
}

TEST_F(FakeMachine, NothingKnownMeansOneNodeAndOneThreadACore) {
  const Topology t = read_topology({0, 1, 2}, roots_);
  EXPECT_EQ(t.default_threads(), 3);
  EXPECT_EQ(t.nodes, 1);
  EXPECT_EQ(t.quota_cpus, 0);
}

TEST_F(FakeMachine, QuotasOfVersionTwoOfAllGroupsAboveCount) {
  put("/cgroup", "0::/a/b\n");
  put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpus(roots_), 0);
  put("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroup_cpus(roots_), 2.5);
  put("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_cpus(roots_), 1.5);
}

TEST_F(FakeMachine, QuotasOfVersionOneCount) {
  put("/cgroup", "4:memory:/x\n3:cpu,cpuacct:/docker/123\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpus(roots_), 3);  // the container's group is the root here
  put("/sys/fs/cgroup/cpu,cpuacct/docker/123/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/123/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpus(roots_), 3);
}

TEST_F(FakeMachine, TheQuotaBoundsTheThreads) {
  two_nodes();
  put("/cgroup", "0::/\n");
  put("/sys/fs/cgroup/cpu.max", "210000 100000\n");
  EXPECT_EQ(read_topology({0, 1, 2, 3}, roots_).default_threads(), 2);
  put("/sys/fs/cgroup/cpu.max", "10000 100000\n");
  EXPECT_EQ(read_topology({0, 1, 2, 3}, roots_).default_threads(), 1);
  put("/sys/fs/cgroup/cpu.max", "rubbish\n");
  EXPECT_EQ(read_topology({0, 1, 2, 3}, roots_).default_threads(), 4);
}

TEST(Topology, ThisMachineHasCores) {
  const Topology& t = machine_topology();
  EXPECT_GE(t.cores.size(), 1u);
  EXPECT_GE(t.cpus.size(), t.cores.size());
  for (const CorePlace& core : t.cores) EXPECT_LT(core.node, t.nodes);
}

}  // namespace
}  // namespace headgate
