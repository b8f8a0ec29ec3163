// The kernels of this level over emulated tile instructions: what tests run on any machine with
// AVX-512.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/train_table.h"

namespace headgate::amx_emulated {

void fill(KernelTable& table);

}  // namespace headgate::amx_emulated
