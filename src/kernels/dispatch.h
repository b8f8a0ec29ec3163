// Chooses the kernels of an instruction-set level.
#pragma once

#include "base/cpu_info.h"
#include "kernels/kernel_table.h"

namespace headgate {

// The best kernel of every entry that `isa` can run. The caller makes sure that the machine has it.
KernelTable kernels_for(Isa isa);

namespace scalar {
void fill(KernelTable& table);  // every entry
}
namespace avx2 {
void fill(KernelTable& table);  // replaces entries
}
namespace avxvnni {
void fill(KernelTable& table);
}
namespace avx512 {
void fill(KernelTable& table);
}
namespace avx512bf16 {
void fill(KernelTable& table);
}
namespace amx {
void fill(KernelTable& table);
}

}  // namespace headgate
