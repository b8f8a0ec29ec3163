// The training kernels of this level; contracts in train_table.h.
#pragma once

#include "kernels/train_table.h"

namespace headgate::avx2 {

void tile_f32(const TileArgs& t);

}  // namespace headgate::avx2
