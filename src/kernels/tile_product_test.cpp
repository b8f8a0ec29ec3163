// Products of panels and tiles of bf16 activations on every level against the scalar reference and
// against exact sums of the stored weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "kernels/pack.h"
#include "kernels/test_levels.h"
#include "tensor/codec.h"
#include "tensor/half.h"

namespace headgate {
namespace {

constexpr DType kPacked[] = {DType::kQ4_K, DType::kQ5_K,   DType::kQ6_K,   DType::kQ8_0,
                             DType::kQ4_0, DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4};

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i) out[i] = random_normal(seed, 0, i);
  return out;
}

// Memory on a cache line of its own.
template <typename T>
class Lines {
 public:
  explicit Lines(int64_t count) : memory_(static_cast<size_t>(count) * sizeof(T) + 64) {
    const auto at = reinterpret_cast<uintptr_t>(memory_.data());
    data_ = reinterpret_cast<T*>(memory_.data() + (64 - at % 64) % 64);
  }
  T* data() const { return data_; }

 private:
  std::vector<std::byte> memory_;
  T* data_;
};

// `panels` panels of random weights of a few kinds, and what the rows stand for.
struct Weights {
  Weights(DType type, int64_t panels, int64_t columns)
      : format(*panel_format(type)),
        count(panels),
        cols(columns),
        blocks(panel_blocks(columns)),
        memory(panels * blocks * panel_block_bytes(format)),
        values(static_cast<size_t>(panels * kPanelRows * columns)) {
    constexpr int64_t kDistinct = 5;
    const int64_t bytes = row_bytes(type, cols);
    std::vector<std::byte> stored(static_cast<size_t>(kDistinct * bytes));
    const std::vector<float> from = random_floats(kDistinct * cols, 11);
    for (int64_t r = 0; r < kDistinct; ++r)
      quantize_row(type, from.data() + r * cols, stored.data() + r * bytes, cols);
    for (int64_t r = 0; r < count * kPanelRows; ++r) {
      const std::byte* row = stored.data() + r % kDistinct * bytes;
      pack_row(format, memory.data() + r / 16 * blocks * panel_block_bytes(format),
               static_cast<int>(r % 16), row, cols);
      dequantize_row(type, row, values.data() + r * cols, cols);
    }
  }
  PanelFormat format;
  int64_t count, cols, blocks;
  Lines<std::byte> memory;
  std::vector<float> values;  // [16 * count, cols]
};

std::vector<float> multiply(const TileProducts& kernels, const Weights& w,
                            const std::vector<float>& x, int64_t rows) {
  std::vector<const float*> in;
  std::vector<float> y(static_cast<size_t>(rows * w.count * kPanelRows), 7.0f);
  std::vector<float*> out;
  for (int64_t t = 0; t < rows; ++t) {
    in.push_back(x.data() + t * w.cols);
    out.push_back(y.data() + t * w.count * kPanelRows);
  }
  const Lines<uint16_t> tiles(packed_tile_values(rows, w.cols));
  const Lines<std::byte> scratch(kTileScratchBytes);
  kernels.pack(tiles.data(), in.data(), rows, w.cols);
  TileProductArgs args = {};
  args.y = out.data();
  args.x = tiles.data();
  args.rows = rows;
  args.panels = w.memory.data();
  args.count = w.count;
  args.blocks = w.blocks;
  args.scratch = scratch.data();
  kernels.multiply[w.format](args);
  return y;
}

class TileProduct : public testing::TestWithParam<TestLevel> {
 protected:
  const TileProducts& fast = GetParam().table.tiles;
  const KernelTable scalar = kernels_for(Isa::kScalar);
  const TileProducts& slow = scalar.tiles;
};

TEST_P(TileProduct, PackingRoundsToNearestEvenAndFillsWithZeros) {
  for (const int64_t rows : {1, 15, 16, 17, 33}) {
    for (const int64_t cols : {256, 288, 700}) {
      std::vector<float> x = random_floats(rows * cols, 3);
      x[0] = NAN;
      x[1] = INFINITY;
      x[2] = 1.00390625f;  // halfway, down to even
      x[3] = 1.01171875f;  // halfway, up to even
      x[4] = -1e-42f;
      std::vector<const float*> in;
      for (int64_t t = 0; t < rows; ++t) in.push_back(x.data() + t * cols);
      const int64_t count = packed_tile_values(rows, cols);
      const Lines<uint16_t> got(count), want(count);
      fast.pack(got.data(), in.data(), rows, cols);
      slow.pack(want.data(), in.data(), rows, cols);
      EXPECT_EQ(std::memcmp(got.data(), want.data(), static_cast<size_t>(count) * 2), 0)
          << rows << " x " << cols;
    }
  }
}

// Every type; slabs of less than 2048 inputs, of several and of unequal length, panels in pairs and
// alone, tiles of rows in pairs and alone.
TEST_P(TileProduct, MatchesTheScalarReference) {
  struct Shape {
    int64_t panels, cols, rows;
  };
  for (const DType type : kPacked) {
    for (const Shape& s : {Shape{5, 256, 33}, Shape{2, 512, 7}}) {
      const Weights w(type, s.panels, s.cols);
      const std::vector<float> x = random_floats(s.rows * s.cols, 2);
      EXPECT_LT(error_of(multiply(fast, w, x, s.rows), multiply(slow, w, x, s.rows)), 2e-6f)
          << dtype_name(type) << " " << s.cols;
    }
  }
  for (const Shape& s : {Shape{3, 2304, 20}, Shape{1, 4352, 40}, Shape{4, 2048, 100}}) {
    const Weights w(DType::kQ8_0, s.panels, s.cols);
    const std::vector<float> x = random_floats(s.rows * s.cols, 2);
    EXPECT_LT(error_of(multiply(fast, w, x, s.rows), multiply(slow, w, x, s.rows)), 2e-6f)
        << s.cols;
  }
}

// A contract that the reference could miss as well: the sums are those of the stored weights.
TEST_P(TileProduct, IsTheProductOfStoredWeightsWithinTheErrorOfBf16) {
  for (const DType type : kPacked) {
    const int64_t rows = 3, cols = 768;
    const Weights w(type, 2, cols);
    const std::vector<float> x = random_floats(rows * cols, 2);
    std::vector<float> want;
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t r = 0; r < 2 * kPanelRows; ++r) {
        double sum = 0;
        for (int64_t i = 0; i < cols; ++i)
          sum += static_cast<double>(w.values[static_cast<size_t>(r * cols + i)]) *
                 static_cast<double>(x[static_cast<size_t>(t * cols + i)]);
        want.push_back(static_cast<float>(sum));
      }
    }
    EXPECT_LT(error_of(multiply(fast, w, x, rows), want), 4e-3f) << dtype_name(type);
  }
}

TEST_P(TileProduct, RowsIgnoreTheirNeighbours) {
  const int64_t rows = kTileProductRows, cols = 2304;
  const Weights w(DType::kQ4_K, 3, cols);
  const std::vector<float> x = random_floats(rows * cols, 2);
  const std::vector<float> all = multiply(fast, w, x, rows);
  const int64_t width = w.count * kPanelRows;
  for (const int64_t first : {0, 1, 17, 200}) {
    const int64_t some = std::min<int64_t>(rows - first, first % 2 == 0 ? 56 : 3);
    const std::vector<float> part(x.begin() + first * cols, x.begin() + (first + some) * cols);
    const std::vector<float> got = multiply(fast, w, part, some);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), all.begin() + first * width)) << first;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, TileProduct, testing::ValuesIn(matrix_unit_levels()),
                         level_test_name);

}  // namespace
}  // namespace headgate
