// Row orders of the delta net's projections in the three layouts files use.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/config.h"

namespace headgate {

// Row maps "output row -> source row" for DeltaShape s; r = value_heads / key_heads.
using RowMap = std::function<int64_t(int64_t)>;

// Flat [q | k | v] and [z] rows out of rows grouped by key head (q, k, r values, r gates each).
RowMap qkv_from_grouped(const DeltaShape& s);
RowMap z_from_grouped(const DeltaShape& s);
// Grouped rows out of [q | k | v] stacked on [z].
RowMap grouped_from_flat(const DeltaShape& s);

// Value heads in tiled order (head t = i * key_heads + g holds head g * r + i) out of natural
// order, and back; each head has `rows_per_head` rows, and the first `offset` rows stay where they
// are.
RowMap tiled_from_natural(const DeltaShape& s, int64_t offset, int64_t rows_per_head);
RowMap natural_from_tiled(const DeltaShape& s, int64_t offset, int64_t rows_per_head);

// A row map as a list, for columns.
std::vector<int64_t> list_map(const RowMap& map, int64_t count);

}  // namespace headgate
