// What this machine can do at best, measured: the roof that reports hold their figures against.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate {

struct Calibration {
  double read_gbps = 0;      // memory read by all threads, GB/s (1e9 bytes)
  double read_gbps_one = 0;  // by one thread
};

// Reads `bytes` of memory (rounded to threads; at least three times the last-level cache to mean
// anything) several times with `threads` threads (0: one per physical core), in slices, and reports
// the speed of the fastest twentieth, so that other programs disturb little. Takes about 0.2 s for
// 512 MiB. Throws kResourceExhausted when there is no memory.
Calibration calibrate_memory(int threads = 0, int64_t bytes = int64_t{512} << 20);

// The most that registers alone allow, in 1e9 operations per second; a multiply-add counts as two.
// 0: not at the selected level.
struct Peaks {
  double fma = 0;       // fp32
  double int8_dot = 0;  // u8 x s8: dpbusd, or maddubs and madd without VNNI
  double bf16_dot = 0;  // dpbf16ps
  double amx_bf16 = 0;
  double amx_int8 = 0;
};

// Measures every unit of selected_isa() on `threads` threads at once (0: one per physical core; 1
// gives the peak of a core), as the fastest twentieth of short slices. Takes about 20 ms a unit.
Peaks calibrate_peaks(int threads = 0);

// One line for each kernel of selected_isa() that failed the start-up test on this machine:
// "quantize of avx512: illegal instruction; avx2 instead". None is what should be. Runs the test
// (milliseconds) at the first call of the process.
std::vector<std::string> replaced_kernels();

}  // namespace headgate
