// The kernels of level amx over emulated tile instructions: a library of the tests, which run it on
// any machine with AVX-512.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/train_table.h"

namespace headgate::amx_emulated {

void fill(KernelTable& table);
void fill_train(TrainTable& table);

}  // namespace headgate::amx_emulated
