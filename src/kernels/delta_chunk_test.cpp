// The chunked gated delta rule of every level with a matrix unit against the recurrence.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/random.h"
#include "kernels/test_levels.h"

namespace headgate {
namespace {

struct alignas(64) Line {
  std::byte bytes[64];
};

std::vector<Line> lines(int64_t bytes) {
  return std::vector<Line>(static_cast<size_t>((bytes + 63) / 64));
}

// Tokens of one value head: normed keys that resemble their predecessors, as those of text do.
struct Head {
  Head(int64_t dk, int64_t dv, int64_t count, float slowness)
      : key_dim(dk), columns(dv), tokens(count) {
    const auto normal = [](uint64_t stream, int64_t i) {
      return random_normal(5, stream, static_cast<uint64_t>(i));
    };
    for (int64_t i = 0; i < tokens * dk; ++i) {
      q.push_back(normal(1, i));
      k.push_back(normal(2, i) + (i >= dk ? 0.7f * k[static_cast<size_t>(i - dk)] : 0.0f));
    }
    for (int64_t t = 0; t < tokens; ++t) {
      scale(q, t, 1.0f / std::sqrt(static_cast<float>(dk)));
      scale(k, t, 1.0f);
      g.push_back(-slowness * std::fabs(normal(3, t)));
      beta.push_back(1.0f / (1.0f + std::exp(-normal(4, t))));
    }
    for (int64_t i = 0; i < tokens * dv; ++i) v.push_back(normal(6, i));
    for (int64_t i = 0; i < dk * dv; ++i) state.push_back(normal(7, i));
    o.assign(v.size(), NAN);
  }
  void scale(std::vector<float>& x, int64_t t, float length) const {
    float sum = 0;
    const auto from = x.begin() + t * key_dim;
    std::for_each(from, from + key_dim, [&](float a) { sum += a * a; });
    std::for_each(from, from + key_dim, [&](float& a) { a *= length / std::sqrt(sum); });
  }
  int64_t key_dim, columns, tokens;
  std::vector<float> q, k, v, g, beta, state, o;
};

void run(const DeltaChunkKernel& kernel, Head& h) {
  std::vector<Line> shared = lines(delta_chunk_shared_bytes(h.key_dim));
  std::vector<Line> scratch = lines(delta_chunk_scratch_bytes(h.key_dim, h.columns));
  for (int64_t t = 0; t < h.tokens; t += kDeltaChunk) {
    kernel.prepare(shared.data(), h.q.data() + t * h.key_dim, h.key_dim, h.k.data() + t * h.key_dim,
                   h.key_dim, h.key_dim);
    DeltaArgs a = {};
    a.state = h.state.data();
    a.state_stride = h.columns;
    a.v = h.v.data() + t * h.columns;
    a.o = h.o.data() + t * h.columns;
    a.v_stride = a.o_stride = h.columns;
    a.g = h.g.data() + t;
    a.beta = h.beta.data() + t;
    a.g_stride = a.beta_stride = 1;
    a.tokens = kDeltaChunk;
    a.key_dim = h.key_dim;
    a.columns = h.columns;
    kernel.run(a, shared.data(), scratch.data());
  }
}

double rms_error(const std::vector<float>& got, const std::vector<float>& want) {
  double off = 0, size = 1e-30;
  for (size_t i = 0; i < want.size(); ++i) {
    off += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(off / size);
}

class DeltaChunk : public testing::TestWithParam<TestLevel> {
 protected:
  const DeltaChunkKernel& fast = GetParam().table.delta_chunk;
  const KernelTable scalar = kernels_for(Isa::kScalar);
};

TEST_P(DeltaChunk, IsTheRecurrenceWithinTheErrorOfBf16) {
  for (const float slowness : {0.0005f, 0.05f, 1.0f, 20.0f}) {
    for (const auto& [dk, dv] : {std::pair(128, 128), std::pair(64, 64), std::pair(32, 96)}) {
      Head got(dk, dv, 3 * kDeltaChunk, slowness), want = got;
      run(fast, got);
      run(scalar.delta_chunk, want);
      // As large as products of bf16 make it; a misplaced term would be of the order of one.
      EXPECT_LT(rms_error(got.o, want.o), 6e-3) << slowness << " " << dk << " " << dv;
      EXPECT_LT(rms_error(got.state, want.state), 6e-3) << slowness << " " << dk << " " << dv;
    }
  }
}

// Nothing but rounding may separate the chunk from the recurrence: with numbers of few bits, of
// which no product or sum needs rounding, they are equal.
TEST_P(DeltaChunk, IsExactWhereNothingRounds) {
  const int64_t dk = 64, dv = 32;
  Head got(dk, dv, kDeltaChunk, 0.0f);
  const auto small = [](int64_t i, int64_t of) { return static_cast<float>(i * 7919 % of); };
  for (int64_t t = 0; t < kDeltaChunk; ++t) {
    for (int64_t i = 0; i < dk; ++i) {
      const auto at = static_cast<size_t>(t * dk + i);
      got.k[at] = t == i ? 1.0f : 0.0f;  // every token a key of its own
      got.q[at] = small(t + 3 * i, 3) - 1.0f;
    }
    got.g[static_cast<size_t>(t)] = 0.0f;
    got.beta[static_cast<size_t>(t)] = t % 2 == 0 ? 0.5f : 1.0f;
  }
  for (size_t i = 0; i < got.v.size(); ++i) got.v[i] = small(static_cast<int64_t>(i), 8);
  for (size_t i = 0; i < got.state.size(); ++i) got.state[i] = small(static_cast<int64_t>(i), 16);
  Head want = got;
  run(fast, got);
  run(scalar.delta_chunk, want);
  EXPECT_EQ(got.o, want.o);
  EXPECT_EQ(got.state, want.state);
}

INSTANTIATE_TEST_SUITE_P(Levels, DeltaChunk, testing::ValuesIn(matrix_unit_levels()),
                         level_test_name);

}  // namespace
}  // namespace headgate
