// Chooses the training kernels of an instruction-set level.
#pragma once

#include "base/cpu_info.h"
#include "kernels/train_table.h"

namespace headgate {

// The best kernel of every entry that `isa` can run. The caller makes sure that the machine has it.
TrainTable train_kernels_for(Isa isa);

namespace amx {
void fill_train(TrainTable& table);
}

}  // namespace headgate
