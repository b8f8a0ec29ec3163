// The kernels that need AVX512-BF16; contracts in kernel_table.h.
#pragma once

#include "kernels/kernel_table.h"

namespace headgate::avx512bf16 {

void fill(KernelTable& table);

void pack_query_bf16(void* dst, const float* q, int64_t n, int64_t dims, float scale);
void attention_bf16(const AttentionArgs& args);

}  // namespace headgate::avx512bf16
