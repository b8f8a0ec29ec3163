// Cores and nodes through hwloc, where the build has it.
#pragma once

#include "base/topology.h"

namespace headgate {

// Replaces cores and nodes by hwloc's view of the same CPUs; leaves `topology` alone without hwloc
// or when hwloc fails. hwloc knows machines whose sysfs is incomplete or wrong.
void refine_with_hwloc(Topology& topology);

}  // namespace headgate
