// Embedding rows; the backward pass splits columns, so that every row is added to in one order.
#include "train/layers/embedding.h"

#include <algorithm>

namespace headgate {

template <typename T>
void embedding_forward(Ops<T>& ops, std::span<const int32_t> ids, In<T> table, Out<T> y) {
  ops.rows(y.rows, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      const int32_t id = ids[static_cast<size_t>(t)];
      if (id < 0) {
        std::fill(y.row(t), y.row(t) + y.cols, T(0));
      } else {
        std::copy(table.row(id), table.row(id) + y.cols, y.row(t));
      }
    }
  });
}

template <typename T>
void embedding_backward(Ops<T>& ops, std::span<const int32_t> ids, In<T> dy, Out<T> grad) {
  ops.rows(grad.cols, [&](int64_t first, int64_t count) {
    for (int64_t t = 0; t < dy.rows; ++t) {
      const int32_t id = ids[static_cast<size_t>(t)];
      if (id < 0) continue;
      for (int64_t i = first; i < first + count; ++i) grad.row(id)[i] += dy.row(t)[i];
    }
  });
}

#define HEADGATE_EMBEDDING(T)                                                           \
  template void embedding_forward<T>(Ops<T>&, std::span<const int32_t>, In<T>, Out<T>); \
  template void embedding_backward<T>(Ops<T>&, std::span<const int32_t>, In<T>, Out<T>);
HEADGATE_EMBEDDING(float)
HEADGATE_EMBEDDING(double)
#undef HEADGATE_EMBEDDING

}  // namespace headgate
