// What this machine can do at best, measured: the roof that reports hold their figures against.
#pragma once

#include <cstdint>

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

}  // namespace headgate
