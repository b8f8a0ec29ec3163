// hwloc's cores and NUMA nodes, restricted to the CPUs the process may use.
#include "base/topology_hwloc.h"

#if defined(HEADGATE_HWLOC)
#include <hwloc.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace headgate {
namespace {

struct Destroy {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};

// The node of a CPU, 0 when hwloc knows none.
int node_of(hwloc_topology_t topology, int cpu) {
  for (hwloc_obj_t node = nullptr;
       (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    if (hwloc_bitmap_isset(node->cpuset, static_cast<unsigned>(cpu)) != 0)
      return static_cast<int>(node->logical_index);
  }
  return 0;
}

}  // namespace

void refine_with_hwloc(Topology& topology) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return;
  const std::unique_ptr<hwloc_topology, Destroy> owner(raw);
  if (hwloc_topology_load(raw) != 0) return;
  std::vector<CorePlace> cores;
  for (hwloc_obj_t core = nullptr;
       (core = hwloc_get_next_obj_by_type(raw, HWLOC_OBJ_CORE, core)) != nullptr;) {
    const auto cpu = std::find_if(topology.cpus.begin(), topology.cpus.end(), [&](int c) {
      return hwloc_bitmap_isset(core->cpuset, static_cast<unsigned>(c)) != 0;
    });
    if (cpu != topology.cpus.end()) cores.push_back({*cpu, node_of(raw, *cpu)});
  }
  if (cores.empty()) return;
  std::stable_sort(cores.begin(), cores.end(),
                   [](const CorePlace& a, const CorePlace& b) { return a.node < b.node; });
  int number = -1, last = -1;
  for (CorePlace& core : cores) {
    if (core.node != last) ++number;
    last = core.node;
    core.node = number;
  }
  topology.cores = std::move(cores);
  topology.nodes = number + 1;
  topology.source = "hwloc";
}

}  // namespace headgate
#else
namespace headgate {

void refine_with_hwloc(Topology&) {}

}  // namespace headgate
#endif
