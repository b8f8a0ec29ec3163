// Topology from sysfs and the control groups' files; hwloc's where the build has it.
#include "base/topology.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "base/topology_hwloc.h"

namespace headgate {
namespace {

constexpr int kMostCpus = 8192;  // CONFIG_NR_CPUS of the largest kernels

bool read_line(const std::string& path, std::string& line) {
  std::ifstream file(path);
  return static_cast<bool>(std::getline(file, line));
}

// A mask larger than cpu_set_t, which ends at 1024 CPUs.
class CpuMask {
 public:
  CpuMask() : words_(kMostCpus / 8 / sizeof(unsigned long), 0) {}
  cpu_set_t* set() { return reinterpret_cast<cpu_set_t*>(words_.data()); }
  size_t bytes() const { return words_.size() * sizeof(unsigned long); }
  bool has(int cpu) { return CPU_ISSET_S(static_cast<size_t>(cpu), bytes(), set()); }
  void add(int cpu) {
    if (cpu >= 0 && cpu < kMostCpus) CPU_SET_S(static_cast<size_t>(cpu), bytes(), set());
  }

 private:
  std::vector<unsigned long> words_;
};

std::vector<int> allowed_cpus() {
  CpuMask mask;
  std::vector<int> cpus;
  if (::sched_getaffinity(0, mask.bytes(), mask.set()) == 0) {
    for (int cpu = 0; cpu < kMostCpus; ++cpu) {
      if (mask.has(cpu)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

// Nodes of the CPUs that sysfs lists; CPUs it does not list are on node 0.
std::map<int, int> nodes_of_cpus(const std::string& sys) {
  std::map<int, int> node_of;
  std::string list;
  if (!read_line(sys + "/devices/system/node/online", list)) return node_of;
  for (const int node : parse_cpu_list(list)) {
    std::string cpus;
    if (!read_line(sys + "/devices/system/node/node" + std::to_string(node) + "/cpulist", cpus))
      continue;
    for (const int cpu : parse_cpu_list(cpus)) node_of[cpu] = node;
  }
  return node_of;
}

// The quota that the files of one group state, 0 when they state none.
double group_quota(const std::string& folder, bool v2) {
  std::string quota;
  double period = 0;
  if (v2) {
    std::ifstream file(folder + "/cpu.max");
    if (!(file >> quota >> period) || quota == "max") return 0;
  } else {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
    std::ifstream period_file(folder + "/cpu.cfs_period_us");
    if (!(quota_file >> quota) || !(period_file >> period)) return 0;
  }
  const double used = std::strtod(quota.c_str(), nullptr);
  return used > 0 && period > 0 ? used / period : 0;
}

double smaller_limit(double a, double b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

// The least quota from `path` up to the root of the hierarchy mounted at `mount`. Inside a
// container the path may name a group of the host that is not mounted here: the root still counts.
double walk_groups(const std::string& mount, std::string path, bool v2) {
  double limit = 0;
  while (true) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    limit = smaller_limit(limit, group_quota(mount + path, v2));
    if (path.empty()) return limit;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

}  // namespace

int Topology::default_threads() const {
  int threads = std::max(1, static_cast<int>(cores.size()));
  if (quota_cpus > 0)
    threads = std::min(threads, static_cast<int>(std::lround(std::min(quota_cpus, 1e6))));
  return std::max(1, threads);
}

std::vector<int> parse_cpu_list(const std::string& text) {
  std::vector<int> cpus;
  std::istringstream in(text);
  int first = 0;
  while (in >> first) {
    int last = first;
    if (in.peek() == '-') {
      in.get();
      if (!(in >> last)) break;
    }
    for (int cpu = std::max(first, 0); cpu <= std::min(last, kMostCpus - 1); ++cpu)
      cpus.push_back(cpu);
    if (in.peek() != ',') break;
    in.get();
  }
  return cpus;
}

double cgroup_cpus(const TopologyRoots& roots) {
  const std::string base = roots.sys + "/fs/cgroup";
  double limit = 0;
  std::ifstream groups(roots.cgroup_file);
  // Lines are "id:controllers:path"; version 2 has id 0 and no controllers.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      limit = smaller_limit(limit, walk_groups(base, path, true));
      limit = smaller_limit(limit, walk_groups(base + "/unified", path, true));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      limit = smaller_limit(limit, walk_groups(base + "/cpu", path, false));
      limit = smaller_limit(limit, walk_groups(base + "/cpu,cpuacct", path, false));
    }
  }
  return limit;
}

Topology read_topology(const std::vector<int>& cpus, const TopologyRoots& roots) {
  Topology topology;
  topology.source = "sysfs";
  topology.cpus = cpus;
  const std::map<int, int> node_of = nodes_of_cpus(roots.sys);
  std::vector<int> seen;
  for (const int cpu : cpus) {
    std::string siblings;
    const std::string cpu_folder = roots.sys + "/devices/system/cpu/cpu" + std::to_string(cpu);
    std::vector<int> threads;
    if (read_line(cpu_folder + "/topology/thread_siblings_list", siblings))
      threads = parse_cpu_list(siblings);
    // The first hardware thread that may be used stands for its core.
    const bool again = std::any_of(threads.begin(), threads.end(), [&](int sibling) {
      return sibling != cpu && std::find(seen.begin(), seen.end(), sibling) != seen.end();
    });
    if (again) continue;
    seen.push_back(cpu);
    const auto node = node_of.find(cpu);
    topology.cores.push_back({cpu, node == node_of.end() ? 0 : node->second});
  }
  if (topology.cores.empty()) topology.cores.push_back({});
  std::stable_sort(topology.cores.begin(), topology.cores.end(),
                   [](const CorePlace& a, const CorePlace& b) { return a.node < b.node; });
  // Nodes without cores here do not count: the rest are numbered from 0.
  std::map<int, int> number;
  for (CorePlace& core : topology.cores)
    core.node = number.emplace(core.node, static_cast<int>(number.size())).first->second;
  topology.nodes = static_cast<int>(number.size());
  topology.quota_cpus = cgroup_cpus(roots);
  return topology;
}

const Topology& machine_topology() {
  static const Topology topology = [] {
    Topology t = read_topology(allowed_cpus());
    refine_with_hwloc(t);
    return t;
  }();
  return topology;
}

bool bind_thread(const std::vector<int>& cpus) {
  CpuMask mask;
  for (const int cpu : cpus) mask.add(cpu);
  return ::sched_setaffinity(0, mask.bytes(), mask.set()) == 0;
}

}  // namespace headgate
