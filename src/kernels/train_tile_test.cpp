// Products of bf16 pairs with tiles, real where the machine has them and emulated, against plain
// sums: every edge, rows side by side and rows turned.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/test_levels.h"
#include "kernels/train_dispatch.h"
#include "tensor/half.h"

namespace headgate {
namespace {

struct TrainLevel {
  std::string name;
  TrainTable table;
};

std::vector<TrainLevel> train_levels() {
  std::vector<TrainLevel> levels;
  if (cpu_info().best >= Isa::kAmx) levels.push_back({"amx", train_kernels_for(Isa::kAmx)});
#if defined(HEADGATE_TEST_EMULATED_AMX)
  if (emulates_amx()) {
    levels.push_back({"emulated", train_kernels_for(Isa::kAvx512)});
    amx_emulated::fill_train(levels.back().table);
  }
#endif
  return levels;
}

class TrainTiles : public testing::TestWithParam<TrainLevel> {};

std::vector<uint32_t> random_pairs(int64_t n, uint64_t seed) {
  std::vector<uint32_t> out;
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<uint64_t>(2 * i);
    out.push_back(float_to_bf16(random_normal(seed, 0, at)) |
                  static_cast<uint32_t>(float_to_bf16(random_normal(seed, 0, at + 1))) << 16);
  }
  return out;
}

float product_of(uint32_t a, uint32_t b) {
  return bf16_to_float(static_cast<uint16_t>(a)) * bf16_to_float(static_cast<uint16_t>(b)) +
         bf16_to_float(static_cast<uint16_t>(a >> 16)) *
             bf16_to_float(static_cast<uint16_t>(b >> 16));
}

TEST_P(TrainTiles, AreSumsOfPairsAtEveryEdge) {
  for (const int64_t rows : {1, 8, 15, 16}) {
    for (const int64_t columns : {1, 15, 16, 17, 32}) {
      for (const int64_t steps : {1, 16, 21, 48}) {
        for (const bool turned : {false, true}) {
          const bool add = (rows + steps) % 2 == 0;
          const std::vector<uint32_t> a = random_pairs(rows * steps, 1);
          const std::vector<uint32_t> b = random_pairs(steps * columns, 2);
          // A column more on each side, which must stay.
          std::vector<float> got(static_cast<size_t>(rows * (columns + 2)), 0.5f), want = got;
          TileArgs t = {};
          t.a = a.data();
          t.a_row = turned ? 1 : steps;
          t.a_step = turned ? rows : 1;
          t.b = b.data();
          t.b_step = columns;
          t.c = got.data() + 1;
          t.c_row = columns + 2;
          t.rows = rows;
          t.columns = columns;
          t.steps = steps;
          t.add = add;
          GetParam().table.tile_bf16(t);
          float error = 0, largest = 0;
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < columns; ++j) {
              float sum = add ? 0.5f : 0.0f;
              for (int64_t s = 0; s < steps; ++s)
                sum += product_of(a[static_cast<size_t>(i * t.a_row + s * t.a_step)],
                                  b[static_cast<size_t>(s * columns + j)]);
              want[static_cast<size_t>(i * t.c_row + 1 + j)] = sum;
            }
          }
          for (size_t i = 0; i < want.size(); ++i) {
            error = std::max(error, std::fabs(got[i] - want[i]));
            largest = std::max(largest, std::fabs(want[i]));
          }
          EXPECT_LE(error, 2e-6f * largest) << rows << " x " << columns << ", " << steps << turned;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, TrainTiles, testing::ValuesIn(train_levels()),
                         [](const auto& level) { return level.param.name; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TrainTiles);

}  // namespace
}  // namespace headgate
