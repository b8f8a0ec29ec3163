// Each level starts from the one below and replaces entries.
#include "kernels/dispatch.h"

namespace headgate {

KernelTable kernels_for(Isa isa) {
  KernelTable table = {};
  scalar::fill(table);
#if defined(HEADGATE_X86_KERNELS)
  if (isa >= Isa::kAvx2) avx2::fill(table);
  if (isa >= Isa::kAvxVnni) avxvnni::fill(table);  // all of it replaced by the next level
  if (isa >= Isa::kAvx512) avx512::fill(table);
  if (isa >= Isa::kAvx512Bf16) avx512bf16::fill(table);
  if (isa >= Isa::kAmx) amx::fill(table);
#else
  static_cast<void>(isa);
#endif
  return table;
}

}  // namespace headgate
