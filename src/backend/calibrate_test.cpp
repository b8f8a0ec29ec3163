// What calibration measures is there, and ordered as hardware must be.
#include "backend/calibrate.h"

#include <gtest/gtest.h>

#include "base/cpu_info.h"

namespace headgate {
namespace {

TEST(Calibration, MeasuresTheUnitsOfTheLevelAndNoOthers) {
  const Peaks peaks = calibrate_peaks(1);
  const Isa isa = selected_isa();
  EXPECT_GT(peaks.fma, 0);
  EXPECT_EQ(peaks.int8_dot > 0, isa >= Isa::kAvx2);
  EXPECT_EQ(peaks.bf16_dot > 0, isa >= Isa::kAvx512Bf16);
  EXPECT_EQ(peaks.amx_bf16 > 0, isa >= Isa::kAmx);
  EXPECT_EQ(peaks.amx_int8 > 0, isa >= Isa::kAmx);
}

TEST(Calibration, NoKernelHadToBeReplacedHere) { EXPECT_TRUE(replaced_kernels().empty()); }

TEST(Calibration, MeasuresMemory) {
  const Calibration memory = calibrate_memory(2, int64_t{4} << 20);
  EXPECT_GT(memory.read_gbps, 0);
  EXPECT_GT(memory.read_gbps_one, 0);
}

}  // namespace
}  // namespace headgate
