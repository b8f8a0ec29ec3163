// Attention kernels and KV tiles of every instruction set against the scalar reference and against
// plain softmax in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "kernels/scalar/kernels.h"
#include "kernels/test_levels.h"
#include "tensor/half.h"

namespace headgate {
namespace {

const char* const kNames[kKvFormats] = {"f32", "f16", "bf16", "int8", "q4"};
constexpr float kLog2E = 1.44269504f;

std::vector<float> random_floats(int64_t n, uint64_t seed, float scale = 1.0f) {
  std::vector<float> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    out[static_cast<size_t>(i)] = scale * random_normal(seed, 0, static_cast<uint64_t>(i));
  return out;
}

struct alignas(64) Line {
  std::byte bytes[64];
};
// 64-byte aligned memory; all ones is a NaN in every float format.
std::vector<Line> aligned_bytes(int64_t bytes) {
  Line line;
  std::memset(line.bytes, 255, 64);
  return std::vector<Line>(static_cast<size_t>(bytes / 64 + 1), line);
}

// One KV head in pages' form, with plain copies of what it holds.
struct Head {
  KvFormat format;
  int64_t dim;
  KvPlane plane;
  std::vector<Line> memory;
  std::vector<float> k, v;  // [tokens, dim] as loaded back

  Head(KvFormat f, int64_t head_dim, int64_t page, int64_t tokens)
      : format(f), dim(head_dim), plane(kv_plane(f, head_dim, page)) {
    memory = aligned_bytes(plane.bytes);
    k = random_floats(tokens * dim, 1);
    v = random_floats(tokens * dim, 2);
    for (int64_t t = 0; t < tokens; ++t)
      kv_store_token(format, plane, memory.data(), t, &k[at(t)], &v[at(t)], dim);
    for (int64_t t = 0; t < tokens; ++t)
      kv_load_token(format, plane, memory.data(), t, &k[at(t)], &v[at(t)], dim);
  }
  size_t at(int64_t t) const { return static_cast<size_t>(t * dim); }
  const std::byte* bytes() const { return memory[0].bytes; }
};

using Pack = void (*)(void*, const float*, int64_t, int64_t, float);
using Kernel = void (*)(const AttentionArgs&);

struct Result {
  std::vector<float> max, sum, out;
};

// Runs `kernel` over the head's first tokens; rows see visible[r] of them.
Result run(const Head& h, const std::vector<float>& q, const std::vector<int32_t>& visible,
           int64_t tokens, Pack pack, Kernel kernel, bool stream = false) {
  const auto rows = static_cast<int64_t>(visible.size());
  std::vector<Line> queries = aligned_bytes(rows * packed_query_bytes(h.plane.dims));
  std::vector<Line> scratch = aligned_bytes(kAttentionScratchBytes);
  std::vector<Line> out = aligned_bytes(rows * h.plane.dims * 4);
  for (int64_t r = 0; r < rows; ++r)
    pack(reinterpret_cast<std::byte*>(queries.data()) + r * packed_query_bytes(h.plane.dims),
         &q[h.at(r)], h.dim, h.plane.dims, kLog2E / std::sqrt(static_cast<float>(h.dim)));
  Result result;
  result.max.resize(visible.size());
  result.sum.resize(visible.size());
  AttentionArgs a = {};
  a.queries = queries.data();
  a.rows = rows;
  a.visible = visible.data();
  a.tokens = tokens;
  a.dims = h.plane.dims;
  a.keys = h.bytes();
  a.key_stride = h.plane.key_tile;
  a.key_scales = reinterpret_cast<const float*>(h.bytes() + h.plane.key_scales);
  a.values = h.bytes() + h.plane.values;
  a.value_stride = h.plane.value_tile;
  a.value_scales = h.bytes() + h.plane.value_scales;
  a.scale_stride = h.plane.tokens * 2;
  a.stream = stream;
  a.next = stream ? h.bytes() : nullptr;
  a.scratch = scratch.data();
  a.max = result.max.data();
  a.sum = result.sum.data();
  a.out = reinterpret_cast<float*>(out[0].bytes);
  kernel(a);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = a.out + r * h.plane.dims;
    result.out.insert(result.out.end(), row, row + h.dim);
  }
  return result;
}

// Largest difference of out / sum and of log2(sum) + max, the latter in absolute terms.
float difference(const Result& a, const Result& b) {
  float worst = 0;
  const size_t dim = a.out.size() / a.sum.size();
  for (size_t r = 0; r < a.sum.size(); ++r) {
    if (b.sum[r] == 0) {
      worst = std::max(worst, a.sum[r] == 0 && a.max[r] == -INFINITY ? 0.0f : INFINITY);
      for (size_t d = 0; d < dim; ++d)
        worst = std::max(worst, a.out[r * dim + d] == 0 ? 0.0f : INFINITY);
      continue;
    }
    const float off = std::fabs(std::log2(a.sum[r]) + a.max[r] - std::log2(b.sum[r]) - b.max[r]);
    worst = off < worst ? worst : off;
    for (size_t d = 0; d < dim; ++d) {
      const float gap = std::fabs(a.out[r * dim + d] / a.sum[r] - b.out[r * dim + d] / b.sum[r]);
      worst = gap < worst ? worst : gap;  // a NaN stays
    }
  }
  return worst;
}

// Softmax in double precision over what the head holds.
Result plain(const Head& h, const std::vector<float>& q, const std::vector<int32_t>& visible) {
  Result result;
  for (size_t r = 0; r < visible.size(); ++r) {
    std::vector<double> p(static_cast<size_t>(visible[r])), out(static_cast<size_t>(h.dim));
    double max = -INFINITY, sum = 0;
    for (size_t t = 0; t < p.size(); ++t) {
      double dot = 0;
      for (int64_t d = 0; d < h.dim; ++d)
        dot += static_cast<double>(q[h.at(static_cast<int64_t>(r)) + d]) *
               h.k[h.at(static_cast<int64_t>(t)) + d];
      p[t] = dot / std::sqrt(static_cast<double>(h.dim)) * std::log2(std::exp(1.0));
      max = std::max(max, p[t]);
    }
    for (size_t t = 0; t < p.size(); ++t) {
      const double w = std::exp2(p[t] - max);
      sum += w;
      for (int64_t d = 0; d < h.dim; ++d) out[d] += w * h.v[h.at(static_cast<int64_t>(t)) + d];
    }
    result.max.push_back(static_cast<float>(max));
    result.sum.push_back(static_cast<float>(sum));
    result.out.insert(result.out.end(), out.begin(), out.end());
  }
  return result;
}

class Attention : public testing::TestWithParam<TestLevel> {
 protected:
  const KernelTable fast = GetParam().table;
  const KernelTable slow = kernels_for(Isa::kScalar);
  // bf16 dot products round queries and weights, and have a scalar twin that does, too.
  bool rounds(KvFormat f) const { return f == kKvBF16 && GetParam().isa >= Isa::kAvx512Bf16; }
};

TEST_P(Attention, MatchesTheScalarKernel) {
  struct Case {
    int64_t dim, page, tokens, rows;
  };
  for (const Case& c :
       {Case{64, 64, 64, 8}, Case{128, 256, 250, 16}, Case{256, 256, 256, 32}, Case{256, 256, 1, 1},
        Case{20, 32, 17, 3}, Case{96, 100, 100, 7}, Case{32, 512, 255, 5}, Case{512, 64, 33, 2}}) {
    const std::vector<float> q = random_floats(c.rows * c.dim, 3, 1.5f);
    std::vector<int32_t> visible;
    for (int64_t r = 0; r < c.rows; ++r)
      visible.push_back(static_cast<int32_t>((c.tokens + r) % (c.tokens + 1)));
    visible.back() = static_cast<int32_t>(c.tokens);
    for (int i = 0; i < kKvFormats; ++i) {
      const auto f = static_cast<KvFormat>(i);
      const Head head(f, c.dim, c.page, c.tokens);
      const auto pack = rounds(f) ? scalar::pack_query_rounded : slow.attention[f].pack_query;
      const auto twin = rounds(f) ? scalar::attention_bf16_rounded : slow.attention[f].run;
      const Result want = run(head, q, visible, c.tokens, pack, twin);
      for (const bool stream : {false, true}) {
        const Result got = run(head, q, visible, c.tokens, fast.attention[f].pack_query,
                               fast.attention[f].run, stream);
        // A weight may fall on the other side of a rounding: 2^-9 of itself as bf16.
        EXPECT_LT(difference(got, want), rounds(f)     ? 2e-3f
                                         : i < kKvInt8 ? 1e-5f
                                                       : 1e-4f)
            << kNames[f] << " dim " << c.dim << " tokens " << c.tokens << " rows " << c.rows;
      }
    }
  }
}

TEST_P(Attention, IsSoftmaxOfWhatTheTilesHold) {
  const int64_t dim = 256, tokens = 256, rows = 8;
  const std::vector<float> q = random_floats(rows * dim, 3);
  const std::vector<int32_t> visible = {256, 256, 200, 1, 17, 100, 255, 32};
  for (int i = 0; i < kKvFormats; ++i) {
    const auto f = static_cast<KvFormat>(i);
    const Head head(f, dim, 256, tokens);
    const Result got =
        run(head, q, visible, tokens, fast.attention[f].pack_query, fast.attention[f].run);
    // What queries and weights lose: bf16 8 bits, int8 14 bits, 4-bit caches queries of 7 bits.
    const float bound = rounds(f) ? 1e-2f : f == kKvInt8 ? 1e-3f : f == kKvQ4 ? 3e-2f : 1e-5f;
    EXPECT_LT(difference(got, plain(head, q, visible)), bound) << kNames[f];
  }
}

TEST_P(Attention, RowsIgnoreNeighboursAndTokensBehindTheirs) {
  const int64_t dim = 64, rows = 15;
  const std::vector<float> q = random_floats(rows * dim, 3);
  for (int i = 0; i < kKvFormats; ++i) {
    const auto f = static_cast<KvFormat>(i);
    const Head head(f, dim, 256, 200);
    const Result all = run(head, q, std::vector<int32_t>(rows, 90), 200,
                           fast.attention[f].pack_query, fast.attention[f].run);
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<float> own(q.begin() + r * dim, q.begin() + (r + 1) * dim);
      const Result one =
          run(head, own, {90}, 90, fast.attention[f].pack_query, fast.attention[f].run);
      EXPECT_EQ(one.max[0], all.max[static_cast<size_t>(r)]) << kNames[f];
      EXPECT_EQ(one.sum[0], all.sum[static_cast<size_t>(r)]) << kNames[f];
      EXPECT_TRUE(std::equal(one.out.begin(), one.out.end(), all.out.begin() + r * dim))
          << kNames[f] << " row " << r;
    }
  }
}

TEST_P(Attention, FarScoresAndZeroVectorsStayFinite) {
  const int64_t dim = 32, tokens = 40;
  std::vector<float> q(static_cast<size_t>(2 * dim), 0.0f);
  for (int64_t d = 0; d < dim; ++d) q[static_cast<size_t>(d)] = 1000.0f;
  for (int i = 0; i < kKvFormats; ++i) {
    const auto f = static_cast<KvFormat>(i);
    const Head head(f, dim, 64, tokens);
    const Result got =
        run(head, q, {40, 40}, tokens, fast.attention[f].pack_query, fast.attention[f].run);
    EXPECT_GE(got.sum[0], 1.0f) << kNames[f];
    EXPECT_LT(got.sum[0], 1.5f) << kNames[f];
    EXPECT_EQ(got.sum[1], 40.0f) << kNames[f];
    for (const float x : got.out) EXPECT_TRUE(std::isfinite(x)) << kNames[f];
  }
}

TEST(KvTile, GivesBackWhatItKeptWithinTheErrorOfItsType) {
  const int64_t dim = 128, tokens = 70;
  const float bounds[kKvFormats] = {0, 3e-4f, 2e-3f, 7e-3f, 0.09f};
  for (int i = 0; i < kKvFormats; ++i) {
    const Head head(static_cast<KvFormat>(i), dim, 100, tokens);
    const std::vector<float> k = random_floats(tokens * dim, 1), v = random_floats(tokens * dim, 2);
    double off = 0, size = 0;
    for (size_t j = 0; j < k.size(); ++j) {
      off += std::pow(k[j] - head.k[j], 2) + std::pow(v[j] - head.v[j], 2);
      size += std::pow(k[j], 2) + std::pow(v[j], 2);
    }
    EXPECT_LE(std::sqrt(off / size), bounds[i]) << kNames[i];
  }
}

TEST(KvTile, ZerosAndHugeValuesKeepTheirMeaning) {
  for (int i = 0; i < kKvFormats; ++i) {
    const auto f = static_cast<KvFormat>(i);
    const KvPlane plane = kv_plane(f, 40, 32);
    std::vector<Line> memory = aligned_bytes(plane.bytes);
    std::vector<float> zero(40, 0.0f), huge(40, 3e4f), k(40), v(40);
    huge[3] = -3e4f;
    kv_store_token(f, plane, memory.data(), 0, zero.data(), huge.data(), 40);
    kv_load_token(f, plane, memory.data(), 0, k.data(), v.data(), 40);
    for (size_t d = 0; d < 40; ++d) {
      EXPECT_EQ(k[d], 0.0f) << kNames[f];
      EXPECT_NEAR(v[d], huge[d], 120.0f) << kNames[f];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, Attention, testing::ValuesIn(levels_to_test()), level_test_name);

}  // namespace
}  // namespace headgate
