// Rows of the embedding table, forward and backward.
#pragma once

#include <cstdint>
#include <span>

#include "train/layers/weight.h"

namespace headgate {

// y[t] = table[ids[t]], zeros for a negative id.
template <typename T>
void embedding_forward(Ops<T>& ops, std::span<const int32_t> ids, In<T> table, Out<T> y);
// grad[ids[t]] += dy[t], token after token, whatever the threads.
template <typename T>
void embedding_backward(Ops<T>& ops, std::span<const int32_t> ids, In<T> dy, Out<T> grad);

}  // namespace headgate
