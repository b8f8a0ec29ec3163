// What parity tests iterate over: every level of this machine, and AMX over emulated instructions.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/cpu_info.h"
#include "kernels/dispatch.h"
#if defined(HEADGATE_TEST_EMULATED_AMX)
#include "kernels/emulated_amx.h"
#endif

namespace headgate {

struct TestLevel {
  std::string name;
  Isa isa;  // whose rules hold
  KernelTable table;
};

// The vector instructions around the emulated ones are real.
inline bool emulates_amx() { return cpu_info().best >= Isa::kAvx512; }

inline std::vector<TestLevel> levels_to_test() {
  std::vector<TestLevel> levels;
  for (const Isa isa : isas_on_this_machine())
    levels.push_back({std::string(isa_name(isa)), isa, kernels_for(isa)});
#if defined(HEADGATE_TEST_EMULATED_AMX)
  if (emulates_amx()) {
    KernelTable table = kernels_for(std::min(cpu_info().best, Isa::kAvx512Bf16));
    amx_emulated::fill(table);
    levels.push_back({"amx_emulated", Isa::kAmx, table});
  }
#endif
  return levels;
}

// The scalar reference, and the levels that multiply tiles.
inline std::vector<TestLevel> matrix_unit_levels() {
  std::vector<TestLevel> levels;
  for (const TestLevel& level : levels_to_test()) {
    if (level.isa == Isa::kScalar || level.isa >= Isa::kAmx) levels.push_back(level);
  }
  return levels;
}

inline void PrintTo(const TestLevel& level, std::ostream* out) { *out << level.name; }

inline std::string level_test_name(const testing::TestParamInfo<TestLevel>& info) {
  return info.param.name;
}

// The largest difference, as a share of the largest wanted value; infinite where a result is.
inline float error_of(const std::vector<float>& got, const std::vector<float>& want) {
  float max = 0, largest = 1e-30f;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    max = std::max(max, std::fabs(got[i] - want[i]));
    largest = std::max(largest, std::fabs(want[i]));
  }
  return max / largest;
}

}  // namespace headgate
