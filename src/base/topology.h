// Which processors this process may use: cores, NUMA nodes and the quota of its control groups.
#pragma once

#include <string>
#include <vector>

namespace headgate {

// One physical core, named by the first of its hardware threads that the process may run on.
struct CorePlace {
  int cpu = 0;   // as the kernel numbers them
  int node = 0;  // NUMA node, 0..nodes - 1
};

struct Topology {
  std::vector<CorePlace> cores;  // at least one; cores of a node follow each other
  std::vector<int> cpus;         // every hardware thread the process may run on, rising
  int nodes = 1;                 // that have cores here
  double quota_cpus = 0;         // CPU time granted by control groups, in CPUs; 0: no limit
  std::string source;            // "sysfs", "hwloc"

  // Threads worth having: one a core, no more than the quota rounded to the nearest whole CPU.
  int default_threads() const;
};

// Where the kernel's files lie; tests put a tree of their own there.
struct TopologyRoots {
  std::string sys = "/sys";
  std::string cgroup_file = "/proc/self/cgroup";
};

// Reads the topology of `cpus` (those the process may run on). Files that are missing mean one
// node, one hardware thread a core, no quota.
Topology read_topology(const std::vector<int>& cpus, const TopologyRoots& roots = {});

// CPUs granted by the quotas of control groups, versions 1 and 2, of the group of this process and
// of all groups above it; 0 when there is no limit.
double cgroup_cpus(const TopologyRoots& roots = {});

// This machine: read once, at the first call, from the affinity mask of the calling thread. Where
// the build has hwloc, cores and nodes come from it. Thread-safe.
const Topology& machine_topology();

// Parses a kernel list such as "0-3,8"; stops at anything else.
std::vector<int> parse_cpu_list(const std::string& text);

// Lets the calling thread run on these CPUs only; false where the kernel refuses.
bool bind_thread(const std::vector<int>& cpus);

}  // namespace headgate
