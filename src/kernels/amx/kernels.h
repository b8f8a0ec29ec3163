// The kernels of this level; contracts in kernel_table.h, tile_product.h and delta_chunk.h.
#pragma once

#include "kernels/amx/tile.h"
#include "kernels/kernel_table.h"

namespace headgate::HEADGATE_AMX {

void fill(KernelTable& table);

void pack_tiles(uint16_t* to, const float* const* x, int64_t rows, int64_t cols);
void tiles_q4k(const TileProductArgs& args);
void tiles_q5k(const TileProductArgs& args);
void tiles_q6k(const TileProductArgs& args);
void tiles_q80(const TileProductArgs& args);
void tiles_q40(const TileProductArgs& args);
void tiles_iq4nl(const TileProductArgs& args);
void tiles_iq4xs(const TileProductArgs& args);
void tiles_mxfp4(const TileProductArgs& args);
void pack_query_bf16(void* dst, const float* q, int64_t n, int64_t dims, float scale);
void attention_bf16(const AttentionArgs& args);
void prepare_delta_chunk(void* shared, const float* q, int64_t q_stride, const float* k,
                         int64_t k_stride, int64_t key_dim);
void run_delta_chunk(const DeltaArgs& args, const void* shared, void* scratch);

}  // namespace headgate::HEADGATE_AMX
