// Reads what the kernel says about free memory.
#include "engine/state_budget.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace headgate {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

int64_t available_in_system() {
  std::ifstream file("/proc/meminfo");
  for (std::string key, unit; file >> key;) {
    int64_t kilobytes = 0;
    if (!(file >> kilobytes)) break;
    if (key == "MemAvailable:") return kilobytes << 10;
    std::getline(file, unit);
  }
  return kUnknown;
}

// "max" where there is no limit, which is no number.
int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : kUnknown;
}

int64_t available_in_group() {
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  return std::max<int64_t>(limit - used, 0);
}

}  // namespace

int64_t default_state_budget(int64_t least) {
  const int64_t available = std::min(available_in_system(), available_in_group());
  return available == kUnknown ? least : std::max(least, available / 4);
}

}  // namespace headgate
