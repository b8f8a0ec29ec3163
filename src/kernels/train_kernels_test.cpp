// Every training kernel of every instruction set of this machine against the scalar reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "base/random.h"
#include "kernels/train_dispatch.h"

namespace headgate {
namespace {

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i) out[i] = 2.0f * random_normal(seed, 0, i);
  return out;
}

void expect_close(const std::vector<float>& got, const std::vector<float>& want, float limit) {
  float largest = 1e-30f;
  for (const float x : want) largest = std::max(largest, std::fabs(x));
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_LE(std::fabs(got[i] - want[i]), limit * largest) << i << " of " << want.size();
  }
}

class TrainKernels : public testing::TestWithParam<Isa> {
 protected:
  const TrainTable fast = train_kernels_for(GetParam());
  const TrainTable slow = train_kernels_for(Isa::kScalar);
};

constexpr int64_t kLengths[] = {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 100};

TEST_P(TrainKernels, TilesOfFloatsMatchAtEverySize) {
  for (int64_t rows = 1; rows <= kProductRows; ++rows) {
    for (int64_t columns = 1; columns <= fast.product_columns; ++columns) {
      for (const bool turned : {false, true}) {
        const int64_t steps = 13;
        const std::vector<float> a = random_floats(rows * steps, 1);
        const std::vector<float> b = random_floats(steps * 40, 2);
        std::vector<float> got = random_floats(rows * 50, 3), want = got;
        TileArgs t{a.data(),
                   turned ? 1 : steps,
                   turned ? rows : 1,
                   b.data(),
                   40,
                   got.data(),
                   50,
                   rows,
                   columns,
                   steps,
                   rows % 2 == 0};
        fast.tile_f32(t);
        for (int64_t first = 0; first < columns; first += slow.product_columns) {
          TileArgs part = t;
          part.b = b.data() + first;
          part.c = want.data() + first;
          part.columns = std::min(slow.product_columns, columns - first);
          slow.tile_f32(part);
        }
        expect_close(got, want, 1e-5f);
      }
    }
  }
}

TEST_P(TrainKernels, TilesOfPairsMatchTheirRoundedInputs) {
  if (fast.tile_bf16 == nullptr) GTEST_SKIP();
  const int64_t steps = 9, inputs = 2 * steps - 1;
  for (int64_t rows = 1; rows <= kProductRows; ++rows) {
    for (int64_t columns = 1; columns <= fast.product_columns; columns += 3) {
      const std::vector<float> a = random_floats(rows * inputs, 1);
      const std::vector<float> b = random_floats(inputs * columns, 2);
      std::vector<uint32_t> pa(static_cast<size_t>(rows * steps));
      std::vector<uint32_t> pb(static_cast<size_t>(steps * columns));
      for (int64_t r = 0; r < rows; ++r) {
        fast.pair_inputs(pa.data() + r * steps, a.data() + r * inputs, inputs);
      }
      fast.pair_rows(pb.data(), columns, 16, b.data(), columns, inputs, columns);
      std::vector<float> got(static_cast<size_t>(rows * columns)), want = got;
      const auto value = [](uint32_t pair, int64_t half) {
        const uint32_t bits = half == 0 ? pair << 16 : pair & 0xffff0000u;
        float x;
        memcpy(&x, &bits, sizeof x);
        return x;
      };
      for (int64_t i = 0; i < rows * columns; ++i) {
        float sum = 0;
        for (int64_t k = 0; k < 2 * steps; ++k) {
          sum += value(pa[static_cast<size_t>(i / columns * steps + k / 2)], k % 2) *
                 value(pb[static_cast<size_t>(k / 2 * columns + i % columns)], k % 2);
        }
        want[static_cast<size_t>(i)] = sum;
      }
      fast.tile_bf16({pa.data(), steps, 1, pb.data(), columns, got.data(), columns, rows, columns,
                      steps, false});
      expect_close(got, want, 1e-5f);
    }
  }
}

TEST_P(TrainKernels, PackingMovesAndRoundsAlike) {
  for (const int64_t n : kLengths) {
    const std::vector<float> x = random_floats(n, 1), block = random_floats(7 * (n + 2), 2);
    std::vector<uint32_t> got(static_cast<size_t>(8 * (n + 16)), 7u), want = got;
    for (const int64_t rows : {1, 6, 7}) {
      fast.pair_rows(got.data(), n + 1, 16, block.data(), n + 2, rows, n);
      slow.pair_rows(want.data(), n + 1, 16, block.data(), n + 2, rows, n);
      EXPECT_EQ(got, want);
      fast.pair_rows(got.data(), 16, 64, block.data(), n + 2, rows, n);
      slow.pair_rows(want.data(), 16, 64, block.data(), n + 2, rows, n);
      EXPECT_EQ(got, want);
    }
    fast.pair_inputs(got.data(), x.data(), n);
    slow.pair_inputs(want.data(), x.data(), n);
    EXPECT_EQ(got, want);
    for (const int64_t columns : {int64_t{1}, int64_t{16}, int64_t{21}}) {
      std::vector<uint32_t> source(static_cast<size_t>(n * columns));
      for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<uint32_t>(i);
      std::vector<uint32_t> a(static_cast<size_t>((n + 3) * columns), 9u), b = a;
      fast.transpose(a.data(), n + 3, source.data(), columns, n, columns);
      slow.transpose(b.data(), n + 3, source.data(), columns, n, columns);
      EXPECT_EQ(a, b);
    }
  }
}

TEST_P(TrainKernels, RowsMatchAtEveryTailLength) {
  for (const int64_t n : kLengths) {
    const std::vector<float> x = random_floats(n, 1), z = random_floats(n, 2);
    const std::vector<float> dy = random_floats(n, 3);
    const auto compare = [&](const std::function<float(const TrainTable&, std::vector<float>&,
                                                       std::vector<float>&)>& run) {
      std::vector<float> a(static_cast<size_t>(n + 1), 5.0f), b = a, c = a, d = a;
      const float got = run(fast, a, b), want = run(slow, c, d);
      EXPECT_NEAR(got, want, 1e-4f * (1.0f + std::fabs(want)));
      expect_close(a, c, 1e-5f);
      expect_close(b, d, 1e-5f);
    };
    compare([&](const TrainTable& k, auto& a, auto&) {
      k.sigmoids(x.data(), n, a.data());
      return 0.0f;
    });
    compare([&](const TrainTable& k, auto& a, auto&) {
      k.silu_times(x.data(), z.data(), n, a.data());
      return 0.0f;
    });
    compare([&](const TrainTable& k, auto& a, auto& b) {
      k.silu_and_slope(x.data(), n, a.data(), b.data());
      return 0.0f;
    });
    compare([&](const TrainTable& k, auto& a, auto& b) {
      k.swiglu_backward(dy.data(), x.data(), z.data(), n, a.data(), b.data());
      return 0.0f;
    });
    compare([&](const TrainTable& k, auto& a, auto&) {
      return k.exp_minus(x.data(), 1.5f, n, a.data());
    });
    compare([&](const TrainTable& k, auto& a, auto&) {
      k.axpy(a.data(), x.data(), 0.3f, n);
      return k.dot(x.data(), z.data(), n);
    });
    compare([&](const TrainTable& k, auto& a, auto& b) {
      k.multiply_add(a.data(), x.data(), z.data(), n);
      k.scale(b.data(), x.data(), 0.3f, n);
      return static_cast<float>(k.square_sum(x.data(), n));
    });
  }
}

TEST_P(TrainKernels, AdamwMatches) {
  for (const int64_t n : kLengths) {
    std::vector<float> w[2], m[2], v[2];
    for (int i = 0; i < 2; ++i) {
      w[i] = random_floats(n, 1);
      m[i] = random_floats(n, 2);
      v[i] = random_floats(n, 3);
      for (float& x : v[i]) x *= x;
      const std::vector<float> g = random_floats(n, 4);
      const AdamArgs args{0.9f, 0.95f, 0.999f, 1e-2f, 1.4f, 1e-8f, 0.7f};
      (i == 0 ? fast : slow).adamw(args, n, w[i].data(), g.data(), m[i].data(), v[i].data());
    }
    expect_close(w[0], w[1], 1e-6f);
    expect_close(m[0], m[1], 1e-6f);
    expect_close(v[0], v[1], 1e-6f);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, TrainKernels, testing::ValuesIn(isas_on_this_machine()),
                         [](const auto& isa) { return std::string(isa_name(isa.param)); });

}  // namespace
}  // namespace headgate
