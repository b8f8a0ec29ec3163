// Index arithmetic of the delta net's row orders.
#include "convert/delta_layout.h"

namespace headgate {
namespace {

struct Sizes {
  int64_t heads_per_key, group, key_width;
};

Sizes sizes_of(const DeltaShape& s) {
  const int64_t r = s.value_heads / s.key_heads;
  return {r, 2 * s.key_dim + 2 * r * s.value_dim, s.key_heads * s.key_dim};
}

}  // namespace

RowMap qkv_from_grouped(const DeltaShape& s) {
  return [s, n = sizes_of(s)](int64_t row) {
    if (row < 2 * n.key_width) {
      const int64_t within = row % n.key_width;
      const int64_t k_offset = row < n.key_width ? 0 : s.key_dim;
      return within / s.key_dim * n.group + k_offset + within % s.key_dim;
    }
    const int64_t value_width = n.heads_per_key * s.value_dim;
    const int64_t v = row - 2 * n.key_width;
    return v / value_width * n.group + 2 * s.key_dim + v % value_width;
  };
}

RowMap z_from_grouped(const DeltaShape& s) {
  return [s, n = sizes_of(s)](int64_t row) {
    const int64_t value_width = n.heads_per_key * s.value_dim;
    return row / value_width * n.group + 2 * s.key_dim + value_width + row % value_width;
  };
}

RowMap grouped_from_flat(const DeltaShape& s) {
  return [s, n = sizes_of(s)](int64_t row) {
    const int64_t value_width = n.heads_per_key * s.value_dim;
    const int64_t g = row / n.group;
    const int64_t o = row % n.group;
    if (o < s.key_dim) return g * s.key_dim + o;
    if (o < 2 * s.key_dim) return n.key_width + g * s.key_dim + o - s.key_dim;
    const int64_t v = o - 2 * s.key_dim;
    const int64_t qkv_rows = 2 * n.key_width + s.value_heads * s.value_dim;
    if (v < value_width) return 2 * n.key_width + g * value_width + v;
    return qkv_rows + g * value_width + v - value_width;
  };
}

RowMap tiled_from_natural(const DeltaShape& s, int64_t offset, int64_t rows_per_head) {
  return [s, offset, rows_per_head, r = sizes_of(s).heads_per_key](int64_t row) {
    if (row < offset) return row;
    const int64_t t = (row - offset) / rows_per_head;
    return offset + (t % s.key_heads * r + t / s.key_heads) * rows_per_head +
           (row - offset) % rows_per_head;
  };
}

RowMap natural_from_tiled(const DeltaShape& s, int64_t offset, int64_t rows_per_head) {
  return [s, offset, rows_per_head, r = sizes_of(s).heads_per_key](int64_t row) {
    if (row < offset) return row;
    const int64_t j = (row - offset) / rows_per_head;
    return offset + (j % r * s.key_heads + j / r) * rows_per_head + (row - offset) % rows_per_head;
  };
}

std::vector<int64_t> list_map(const RowMap& map, int64_t count) {
  std::vector<int64_t> list;
  for (int64_t i = 0; i < count; ++i) list.push_back(map(i));
  return list;
}

}  // namespace headgate
