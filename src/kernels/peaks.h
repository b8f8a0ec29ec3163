// Loops that keep one arithmetic unit of a core busy from registers alone: the roofs that kernels
// are held against.
#pragma once

#include <stdint.h>

namespace headgate {

enum class Isa;

enum PeakUnit {
  kPeakFma,      // fp32 multiply-add
  kPeakInt8Dot,  // u8 x s8 sums of four (dpbusd), or of two and two without VNNI
  kPeakBf16Dot,  // bf16 sums of two (dpbf16ps)
  kPeakAmxBf16,  // tiles of 16 x 16 x 32
  kPeakAmxInt8,  // tiles of 16 x 16 x 64
  kPeakUnits
};

struct PeakLoop {
  // Runs `rounds` rounds; the result only keeps the compiler from dropping the work.
  float (*run)(int64_t rounds) = nullptr;
  int64_t operations = 0;  // per round; a multiply-add counts as two
};

struct PeakTable {
  PeakLoop loops[kPeakUnits];  // run is null where the level lacks the unit
};

// The loops of a level, which the machine must have.
PeakTable peaks_for(Isa isa);

namespace scalar {
float peak_fma(int64_t rounds);
}
namespace avx2 {
float peak_fma(int64_t rounds);
float peak_int8_dot(int64_t rounds);
}  // namespace avx2
namespace avxvnni {
float peak_int8_dot(int64_t rounds);
}
namespace avx512 {
float peak_fma(int64_t rounds);
float peak_int8_dot(int64_t rounds);
}  // namespace avx512
namespace avx512bf16 {
float peak_bf16_dot(int64_t rounds);
}
namespace amx {
float peak_bf16(int64_t rounds);
float peak_int8(int64_t rounds);
}  // namespace amx

}  // namespace headgate
