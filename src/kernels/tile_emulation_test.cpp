// The emulated tile instructions against what the manual says of the real ones, case by case.
#define HEADGATE_EMULATED_TILES
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/amx/tile.h"
#include "tensor/half.h"

namespace headgate::amx_emulated {
namespace {

constexpr TileConfig small_config(int rows, int pairs, int columns) {
  TileConfig c = {};
  c.palette = 1;
  c.rows[0] = c.rows[4] = static_cast<uint8_t>(rows);
  c.rows[6] = static_cast<uint8_t>(pairs);
  c.row_bytes[0] = c.row_bytes[6] = static_cast<uint16_t>(4 * columns);
  c.row_bytes[4] = static_cast<uint16_t>(4 * pairs);
  return c;
}

// One result of one pair: c + a0 b0 + a1 b1.
float pair_product(float c, float a0, float b0, float a1, float b1) {
  const uint16_t a[2] = {float_to_bf16(a0), float_to_bf16(a1)};
  const uint16_t b[2] = {float_to_bf16(b0), float_to_bf16(b1)};
  tile_configure(small_config(1, 1, 1));
  tile_load<0>(&c, 4);
  tile_load<4>(a, 4);
  tile_load<6>(b, 4);
  tile_multiply<0, 4, 6>();
  tile_store<0>(&c, 4);
  tile_release();
  return c;
}

TEST(TileEmulation, MultipliesTheConfiguredRowsAndColumnsOnly) {
  constexpr int kRows = 3, kPairs = 2, kColumns = 5, kStride = 40;
  uint16_t a[kRows][kStride] = {}, b[kPairs][kStride] = {};
  float c[kRows + 1][kStride];
  for (auto& row : c) std::fill(row, row + kStride, 7.0f);
  for (int m = 0; m < kRows; ++m) {
    for (int k = 0; k < 2 * kPairs; ++k) a[m][k] = float_to_bf16(static_cast<float>(m + 3 * k));
  }
  for (int k = 0; k < 2 * kPairs; ++k) {
    for (int n = 0; n < kColumns; ++n)
      b[k / 2][2 * n + k % 2] = float_to_bf16(static_cast<float>(k - 2 * n));
  }
  static constexpr TileConfig kConfig = small_config(kRows, kPairs, kColumns);
  tile_configure(kConfig);
  tile_zero<0>();
  tile_load<4>(a, sizeof a[0]);
  tile_load<6>(b, sizeof b[0]);
  tile_multiply<0, 4, 6>();
  tile_multiply<0, 4, 6>();
  tile_store<0>(c, sizeof c[0]);
  tile_release();
  for (int m = 0; m <= kRows; ++m) {
    for (int n = 0; n < kStride; ++n) {
      float want = 7.0f;
      if (m < kRows && n < kColumns) {
        want = 0;
        for (int k = 0; k < 2 * kPairs; ++k)
          want += 2.0f * static_cast<float>(m + 3 * k) * static_cast<float>(k - 2 * n);
      }
      EXPECT_EQ(c[m][n], want) << m << " " << n;
    }
  }
}

// First and second halves of pairs are summed by themselves, then together, then with the old
// result, and each sum is rounded.
TEST(TileEmulation, RoundsInTheOrderOfTheManual) {
  EXPECT_EQ(pair_product(1.0f, 0x1p12f, 0x1p12f, -0x1p12f, 0x1p12f), 1.0f);
  // 2^24 + 1 needs one bit more than there is: the one is lost with the pair, not with the result.
  EXPECT_EQ(pair_product(-0x1p24f, 0x1p12f, 0x1p12f, 1.0f, 1.0f), 0.0f);
  EXPECT_EQ(pair_product(0x1p24f, 1.0f, 1.0f, 1.0f, 1.0f), 0x1p24f + 2.0f);
}

TEST(TileEmulation, CountsDenormalNumbersAsZero) {
  EXPECT_EQ(pair_product(0.0f, 0x1p-127f, 0x1p100f, 0, 0), 0.0f);  // on the way in
  EXPECT_EQ(pair_product(0.0f, 0x1p-100f, 0x1p-40f, 0, 0), 0.0f);  // on the way out
  EXPECT_EQ(pair_product(0x1p-130f, 0x1p-126f, 1.0f, 0, 0), 0x1p-126f);
  EXPECT_TRUE(std::isnan(pair_product(0.0f, INFINITY, 0.0f, 0, 0)));
  EXPECT_EQ(pair_product(0.0f, INFINITY, 1.0f, 0, 0), INFINITY);
}

void load_a_tile_without_rows() {
  const uint8_t memory[64] = {};
  tile_configure(small_config(1, 1, 1));
  tile_load<1>(memory, 64);
}

void multiply_fewer_rows_than_the_result_has() {
  TileConfig config = small_config(2, 1, 1);
  config.rows[4] = 1;
  tile_configure(config);
  tile_multiply<0, 4, 6>();
}

void configure_too_many_rows() {
  TileConfig config = small_config(1, 1, 1);
  config.rows[0] = 17;
  tile_configure(config);
}

TEST(TileEmulationDeathTest, StopsWhereTheProcessorWould) {
  EXPECT_DEATH(tile_zero<0>(), "");  // nothing is configured
  EXPECT_DEATH(load_a_tile_without_rows(), "");
  EXPECT_DEATH(multiply_fewer_rows_than_the_result_has(), "");
  EXPECT_DEATH(configure_too_many_rows(), "");
}

}  // namespace
}  // namespace headgate::amx_emulated
