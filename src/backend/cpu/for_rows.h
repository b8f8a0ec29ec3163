// Splitting independent rows into tasks.
#pragma once

#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace headgate {

// A task should outlast the cost of starting a region by far.
constexpr int64_t kTaskWork = 20000;

template <typename F>
void CpuBackend::for_rows(int64_t rows, int64_t row_work, const F& f) {
  const int64_t per_task = std::max<int64_t>(1, kTaskWork / std::max<int64_t>(1, row_work));
  const int64_t tasks = (rows + per_task - 1) / per_task;
  pool_.run(tasks, [&](int64_t task, int) {
    const int64_t last = std::min(rows, (task + 1) * per_task);
    for (int64_t row = task * per_task; row < last; ++row) f(row);
  });
}

}  // namespace headgate
