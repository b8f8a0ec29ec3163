// The training kernels of this level; contracts in train_table.h.
#pragma once

#include "kernels/train_table.h"

namespace headgate::avx512 {

void tile_f32(const TileArgs& t);
void transpose(uint32_t* dst, int64_t dst_stride, const uint32_t* src, int64_t src_stride,
               int64_t rows, int64_t columns);

}  // namespace headgate::avx512
