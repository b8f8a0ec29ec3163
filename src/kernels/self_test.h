// Start-up test of the chosen kernels: each against its scalar twin, a lower level where it fails.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/cpu_info.h"
#include "kernels/kernel_table.h"

namespace headgate {

// A kernel that did not pass, and where its replacement comes from.
struct KernelFallback {
  std::string kernel;  // "panel_dot[q4_k]"
  Isa from = Isa::kScalar;
  Isa to = Isa::kScalar;
  bool illegal = false;  // the processor refused an instruction; else the result was wrong
};

struct CheckedKernels {
  KernelTable table;
  std::vector<KernelFallback> fallbacks;
};

// One level: its whole table.
struct KernelLevel {
  Isa isa = Isa::kScalar;
  KernelTable table;
};

// Tests every kernel of the last level on small inputs against the first, which is the reference
// and trusted; a kernel that fails is taken from the level below, tested in its turn. An illegal
// instruction counts as a failure: SIGILL of the calling thread is caught while a kernel is tested,
// and only then. Takes a few milliseconds. Thread rule: one call at a time.
CheckedKernels check_kernels(std::span<const KernelLevel> levels);

// The kernels of `isa`, which the machine should have, tested at the first call of the process;
// logs a warning for each that fell back. Thread-safe.
const CheckedKernels& checked_kernels(Isa isa);

}  // namespace headgate
