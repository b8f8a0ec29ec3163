// Which unit a level can measure, and how much one round of its loop computes.
#include "kernels/peaks.h"

#include "base/cpu_info.h"

namespace headgate {

PeakTable peaks_for(Isa isa) {
  PeakTable table;
  table.loops[kPeakFma] = {scalar::peak_fma, 2 * 8};
#if defined(HEADGATE_X86_KERNELS)
  if (isa >= Isa::kAvx2) {
    table.loops[kPeakFma] = {avx2::peak_fma, 2 * 12 * 8};
    table.loops[kPeakInt8Dot] = {avx2::peak_int8_dot, 2 * 8 * 32};
  }
  if (isa >= Isa::kAvxVnni) table.loops[kPeakInt8Dot] = {avxvnni::peak_int8_dot, 2 * 12 * 32};
  if (isa >= Isa::kAvx512) {
    table.loops[kPeakFma] = {avx512::peak_fma, 2 * 16 * 16};
    table.loops[kPeakInt8Dot] = {avx512::peak_int8_dot, 2 * 16 * 64};
  }
  if (isa >= Isa::kAvx512Bf16) table.loops[kPeakBf16Dot] = {avx512bf16::peak_bf16_dot, 2 * 16 * 32};
  if (isa >= Isa::kAmx) {
    table.loops[kPeakAmxBf16] = {amx::peak_bf16, int64_t{2} * 4 * 16 * 16 * 32};
    table.loops[kPeakAmxInt8] = {amx::peak_int8, int64_t{2} * 4 * 16 * 16 * 64};
  }
#else
  static_cast<void>(isa);
#endif
  return table;
}

}  // namespace headgate
