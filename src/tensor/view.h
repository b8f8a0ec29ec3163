// Non-owning views of activations: fp32 matrices with a row stride.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace headgate {

// A matrix [rows, cols] of T in memory someone else owns; row r starts at data + r * stride. cols
// <= stride.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // elements between rows

  MatrixView() = default;
  MatrixView(T* d, int64_t r, int64_t c) : data(d), rows(r), cols(c), stride(c) {}
  MatrixView(T* d, int64_t r, int64_t c, int64_t s) : data(d), rows(r), cols(c), stride(s) {}
  // A mutable view is a read-only view.
  operator MatrixView<const T>() const { return {data, rows, cols, stride}; }  // NOLINT

  T* row(int64_t r) const { return data + r * stride; }
  // `count` columns from `first`, same rows.
  MatrixView columns(int64_t first, int64_t count) const {
    HEADGATE_DCHECK(first >= 0 && count >= 0 && first + count <= cols);
    return {data + first, rows, count, stride};
  }
  // `count` rows from `first`, same columns.
  MatrixView row_range(int64_t first, int64_t count) const {
    HEADGATE_DCHECK(first >= 0 && count >= 0 && first + count <= rows);
    return {data + first * stride, count, cols, stride};
  }
};

using View = MatrixView<const float>;
using MutView = MatrixView<float>;

}  // namespace headgate
