// Splitting independent rows into tasks.
#pragma once

#include <algorithm>
#include <type_traits>

#include "backend/cpu/cpu_backend.h"

namespace headgate {

// A task should outlast the cost of starting a region and of moving its rows between cores by far.
// In units of about a nanosecond.
constexpr int64_t kTaskWork = 4000;

template <typename F>
void CpuBackend::for_rows(int64_t rows, int64_t row_work, const F& f) {
  const int64_t most = std::max<int64_t>(1, kTaskWork / std::max<int64_t>(1, row_work));
  const int64_t tasks = (rows + most - 1) / most;
  pool_.run(tasks, [&](int64_t task, int worker) {
    const int64_t last = rows * (task + 1) / tasks;
    for (int64_t row = rows * task / tasks; row < last; ++row) {
      if constexpr (std::is_invocable_v<F, int64_t, int>) {
        f(row, worker);
      } else {
        f(row);
      }
    }
  });
}

}  // namespace headgate
