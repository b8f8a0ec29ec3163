// How tokens that were set aside lie in memory, and how a convolution's window moves over inputs.
#pragma once

#include <cstdint>
#include <cstring>

#include "backend/backend.h"
#include "base/cpu_info.h"
#include "kernels/kernel_table.h"

namespace headgate {

// Where the parts of an update row begin: the convolution input, then what the delta rule reads.
struct UpdateLayout {
  explicit UpdateLayout(const DeltaShape& s)
      : k(s.conv_channels()),
        v(k + s.key_heads * s.key_dim),
        g(v + s.value_heads * s.value_dim),
        beta(g + s.value_heads) {}
  int64_t k, v, g, beta;
};

// The state columns a prefill task keeps in L1.
inline int64_t delta_slice_columns() {
  return cpu_info().l1d_bytes >= (40 << 10) ? kDeltaColumns : 32;
}

inline void copy_floats(float* to, const float* from, int64_t count) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

// The window of the last `width - 1` inputs moves over `count` more rows.
inline void push_window(float* window, int64_t stride, int64_t width, const float* rows,
                        int64_t row_stride, int64_t count, int64_t channels) {
  for (int64_t i = 0; i < width - 1; ++i) {
    const int64_t from = i + count;  // in the window followed by the rows
    const float* source =
        from < width - 1 ? window + from * stride : rows + (from - (width - 1)) * row_stride;
    if (source != window + i * stride) copy_floats(window + i * stride, source, channels);
  }
}

}  // namespace headgate
