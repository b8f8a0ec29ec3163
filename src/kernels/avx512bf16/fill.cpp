// Puts the avx512bf16 kernels into the table.
#include "kernels/avx512bf16/kernels.h"

namespace headgate::avx512bf16 {

void fill(KernelTable& table) { table.attention[kKvBF16] = {pack_query_bf16, attention_bf16}; }

}  // namespace headgate::avx512bf16
