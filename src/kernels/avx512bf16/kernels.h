// The kernels that need AVX512-BF16; contracts in kernel_table.h.
#pragma once

#include "kernels/kernel_table.h"

namespace headgate::avx512bf16 {

void fill(KernelTable& table);

void pack_query_bf16(void* dst, const float* q, int64_t n, int64_t dims, float scale);
void attention_bf16(const AttentionArgs& args);
void pack_tiles(uint16_t* to, const float* const* x, int64_t rows, int64_t cols);
void tiles_q4k(const TileProductArgs& args);
void tiles_q5k(const TileProductArgs& args);
void tiles_q6k(const TileProductArgs& args);
void tiles_q80(const TileProductArgs& args);
void tiles_q40(const TileProductArgs& args);
void tiles_iq4nl(const TileProductArgs& args);
void tiles_iq4xs(const TileProductArgs& args);
void tiles_mxfp4(const TileProductArgs& args);

}  // namespace headgate::avx512bf16
