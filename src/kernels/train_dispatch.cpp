// Each level starts from the one below and replaces entries.
#include "kernels/train_dispatch.h"

namespace headgate {

TrainTable train_kernels_for(Isa isa) {
  TrainTable table = {};
  scalar::fill_train(table);
#if defined(HEADGATE_X86_KERNELS)
  if (isa >= Isa::kAvx2) avx2::fill_train(table);
  if (isa >= Isa::kAvx512) avx512::fill_train(table);
  if (isa >= Isa::kAvx512Bf16) avx512bf16::fill_train(table);
  if (isa >= Isa::kAmx) amx::fill_train(table);
#else
  static_cast<void>(isa);
#endif
  return table;
}

}  // namespace headgate
