// The training kernels of this level; contracts in train_table.h.
#pragma once

#include "kernels/amx/tile.h"
#include "kernels/train_table.h"

namespace headgate::HEADGATE_AMX {

void fill_train(TrainTable& table);

}  // namespace headgate::HEADGATE_AMX
