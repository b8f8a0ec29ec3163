// Tiles of bf16 products of training: up to 16 rows x 32 columns, 16 pairs of inputs an
// instruction. Operands are read where they lie when they are tiles there; edges and turned rows
// are copied into tiles first.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/amx/tile.h"
#include "kernels/amx/train.h"
#include "kernels/amx/transpose.h"
#include "kernels/avx512/vector.h"

namespace headgate::HEADGATE_AMX {
namespace {

constexpr int64_t kRows = 16, kSteps = 16, kColumns = 16;  // of a tile, in words
constexpr int64_t kProductColumns = 2 * kColumns;

struct RowConfigs {
  TileConfig of[kRows + 1];
};
constexpr RowConfigs row_configs() {
  RowConfigs c = {};
  for (int rows = 1; rows <= kRows; ++rows) c.of[rows] = tile_config(rows, 0);
  return c;
}
alignas(64) constexpr RowConfigs kRowConfigs = row_configs();

inline __mmask16 lanes(int64_t left) {
  return left <= 0 ? static_cast<__mmask16>(0) : avx512::live_lanes(left);
}

// Rows of steps [s, s + 16) as a tile, zeros behind the last row and step.
void copy_left(int32_t* to, const TileArgs& t, const int32_t* a, int64_t s) {
  const int64_t steps = t.steps - s;
  if (t.a_row == 1) {
    __m512i r[16];
    for (int i = 0; i < kSteps; ++i)
      r[i] = _mm512_maskz_loadu_epi32(i < steps ? lanes(t.rows) : lanes(0),
                                      i < steps ? a + (s + i) * t.a_step : a);
    transpose_words(r);
    for (int i = 0; i < kRows; ++i) _mm512_store_si512(to + i * kSteps, r[i]);
    return;
  }
  for (int64_t row = 0; row < t.rows; ++row) {
    for (int64_t i = 0; i < kSteps; ++i)
      to[row * kSteps + i] = i < steps ? a[row * t.a_row + (s + i) * t.a_step] : 0;
  }
}

// Sixteen columns of steps [s, s + 16) likewise.
void copy_right(int32_t* to, const TileArgs& t, const int32_t* b, int64_t s, int64_t columns) {
  for (int64_t i = 0; i < kSteps; ++i) {
    const bool live = s + i < t.steps;
    const __mmask16 mask = lanes(live ? columns : 0);
    _mm512_store_si512(to + i * kColumns,
                       _mm512_maskz_loadu_epi32(mask, live ? b + (s + i) * t.b_step : b));
  }
}

// V tiles of results, stored into `out`.
template <int V>
void multiply(const TileArgs& t, float (&out)[2][kRows * kColumns]) {
  alignas(64) int32_t left[kRows * kSteps], right[2][kSteps * kColumns];
  const auto* a = static_cast<const int32_t*>(t.a);
  const auto* b = static_cast<const int32_t*>(t.b);
  const int64_t last = t.columns - (V - 1) * kColumns;  // columns of the last tile
  tile_zero<0>();
  if (V == 2) tile_zero<1>();
  for (int64_t s = 0; s < t.steps; s += kSteps) {
    const bool whole = t.steps - s >= kSteps;
    if (whole && t.a_step == 1) {
      tile_load<4>(a + s, t.a_row * 4);
    } else {
      copy_left(left, t, a, s);
      tile_load<4>(left, kSteps * 4);
    }
    const int32_t* at = b + s * t.b_step;
    if (whole && (V == 2 || last == kColumns)) {
      tile_load<6>(at, t.b_step * 4);
    } else {
      copy_right(right[0], t, b, s, V == 2 ? kColumns : last);
      tile_load<6>(right[0], kColumns * 4);
    }
    tile_multiply<0, 4, 6>();
    if (V == 2) {
      if (whole && last == kColumns) {
        tile_load<7>(at + kColumns, t.b_step * 4);
      } else {
        copy_right(right[1], t, b + kColumns, s, last);
        tile_load<7>(right[1], kColumns * 4);
      }
      tile_multiply<1, 4, 7>();
    }
  }
  tile_store<0>(out[0], kColumns * 4);
  if (V == 2) tile_store<1>(out[1], kColumns * 4);
}

void tile_bf16(const TileArgs& t) {
  alignas(64) float out[2][kRows * kColumns];
  tile_configure(kRowConfigs.of[t.rows]);
  if (t.columns > kColumns) {
    multiply<2>(t, out);
  } else {
    multiply<1>(t, out);
  }
  tile_release();
  for (int64_t row = 0; row < t.rows; ++row) {
    for (int64_t v = 0; v * kColumns < t.columns; ++v) {
      const __mmask16 live = lanes(t.columns - v * kColumns);
      float* c = t.c + row * t.c_row + v * kColumns;
      __m512 sum = _mm512_load_ps(out[v] + row * kColumns);
      if (t.add) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(live, c));
      _mm512_mask_storeu_ps(c, live, sum);
    }
  }
}

}  // namespace

void fill_train(TrainTable& table) {
  table.product_columns = kProductColumns;
  table.bf16_rows = kRows;
  table.tile_bf16 = tile_bf16;
}

}  // namespace headgate::HEADGATE_AMX
