// Every kernel of every instruction set of this machine against the scalar reference, at every tail
// length; packing against its inverse.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "kernels/dispatch.h"
#include "kernels/pack.h"
#include "kernels/test_levels.h"
#include "tensor/half.h"

namespace headgate {
namespace {

std::vector<float> random_floats(int64_t n, uint64_t seed, float scale = 1.0f) {
  std::vector<float> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    out[static_cast<size_t>(i)] = scale * random_normal(seed, 0, static_cast<uint64_t>(i));
  return out;
}

std::vector<std::byte> random_bytes(int64_t n, uint64_t seed) {
  std::vector<std::byte> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    out[static_cast<size_t>(i)] =
        static_cast<std::byte>(random_bits(seed, 1, static_cast<uint64_t>(i)) & 255);
  return out;
}

class Kernels : public testing::TestWithParam<Isa> {
 protected:
  const KernelTable fast = kernels_for(GetParam());
  const KernelTable slow = kernels_for(Isa::kScalar);
};

constexpr int64_t kLengths[] = {1,  2,  3,  7,  8,  9,  12, 15, 16, 17, 20,  24,  25, 31,
                                32, 33, 40, 47, 48, 49, 63, 64, 65, 96, 127, 128, 300};

TEST_P(Kernels, RowKernelsMatchAtEveryTailLength) {
  for (const int64_t n : kLengths) {
    const std::vector<float> x = random_floats(n, 1), w = random_floats(n, 2);
    const std::vector<float> z = random_floats(n, 3, 4.0f);
    for (int op = 0; op < 7; ++op) {
      std::vector<float> y[2];
      for (int i = 0; i < 2; ++i) {
        const KernelTable& k = i == 0 ? fast : slow;
        y[i] = w;
        y[i].push_back(77.0f);  // must stay
        float* out = y[i].data();
        if (op == 0) k.rms_norm(out, x.data(), w.data(), n, 1e-6f);
        if (op == 1) k.gated_rms_norm(out, x.data(), z.data(), w.data(), n, 1e-6f);
        if (op == 2) k.l2_norm(out, x.data(), n, 0.3f);
        if (op == 3) k.add_scaled(out, x.data(), -1.7f, n);
        if (op == 4) k.scale_add(out, 0.4f, x.data(), 2.5f, n);
        if (op == 5) k.swiglu(out, z.data(), x.data(), n);
        if (op == 6) k.sigmoid_gate(out, z.data(), n);
        EXPECT_EQ(y[i].back(), 77.0f);
        y[i].pop_back();
      }
      EXPECT_LT(error_of(y[0], y[1]), 1e-6f) << "op " << op << " n " << n;
    }
    std::vector<float> beta[2], g[2];
    for (int i = 0; i < 2; ++i) {
      beta[i] = g[i] = w;
      (i == 0 ? fast : slow)
          .delta_gates(beta[i].data(), g[i].data(), x.data(), z.data(), -1.3f, 0.4f, n);
    }
    EXPECT_LT(error_of(beta[0], beta[1]), 1e-6f) << n;
    EXPECT_LT(error_of(g[0], g[1]), 1e-6f) << n;
    std::vector<float> a(z.size()), b(z.size());
    const float sum_a = fast.exp_shifted(a.data(), z.data(), n);
    const float sum_b = slow.exp_shifted(b.data(), z.data(), n);
    EXPECT_LT(error_of(a, b), 1e-6f) << n;
    EXPECT_NEAR(sum_a, sum_b, 1e-6f * sum_b) << n;
    std::vector<float> u = random_floats(2 * n, 4), v = u;
    fast.rotate_half(u.data(), x.data(), w.data(), n);
    slow.rotate_half(v.data(), x.data(), w.data(), n);
    EXPECT_LT(error_of(u, v), 1e-6f) << n;
  }
}

TEST_P(Kernels, ExponentialsOfFarValuesVanish) {
  const std::vector<float> x = {0, -50, -103, -1e4f, -3e38f, -INFINITY, 0, 0, 0,
                                0, 0,   0,    0,     0,      0,         0, 0, -2};
  std::vector<float> y(x.size());
  fast.exp_shifted(y.data(), x.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], std::exp(x[i]), 2e-7f) << x[i];
}

// log(1 + e^x) keeps its digits where it is tiny and where it is x.
TEST_P(Kernels, DeltaGatesAreExactAtBothEnds) {
  std::vector<float> x;
  for (float v = -80.0f; v <= 80.0f; v += 0.37f) x.push_back(v);
  x.insert(x.end(), {0.0f, 19.999f, 20.0f, 20.001f, -1e4f, 1e4f});
  const auto n = static_cast<int64_t>(x.size());
  std::vector<float> beta(x.size()), g(x.size());
  fast.delta_gates(beta.data(), g.data(), x.data(), x.data(), -1.0f, 0.0f, n);
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i], softplus = v > 40 ? v : std::log1p(std::exp(v));
    EXPECT_NEAR(g[i], -softplus, 5e-7 * softplus + 1e-37) << x[i];
    EXPECT_NEAR(beta[i], 1 / (1 + std::exp(-v)), 3e-7) << x[i];
  }
}

TEST_P(Kernels, StoredTypesRoundToNearestEven) {
  std::vector<float> x = random_floats(200, 1, 100.0f);
  for (const float v : {0.0f, -0.0f, 65504.0f, 65519.0f, 65520.0f, 1e30f, -1e30f, 6e-8f, 5.9e-8f,
                        2.98e-8f, 1e-20f, 1.00390625f, 1.01171875f, INFINITY, -INFINITY, NAN})
    x.push_back(v);
  for (int f = 0; f < kFloatFormats; ++f) {
    for (size_t n = 0; n <= x.size(); n += n < 20 ? 1 : 13) {
      std::vector<uint32_t> a(x.size(), 5), b(x.size(), 5);
      fast.store[f](a.data(), x.data() + x.size() - n, static_cast<int64_t>(n));
      slow.store[f](b.data(), x.data() + x.size() - n, static_cast<int64_t>(n));
      if (f != kFloatF32 && n > 0) {  // NaNs may differ in payload
        auto* last_a = reinterpret_cast<uint16_t*>(a.data()) + n - 1;
        auto* last_b = reinterpret_cast<uint16_t*>(b.data()) + n - 1;
        EXPECT_TRUE(std::isnan(f == kFloatF16 ? fp16_to_float(*last_a) : bf16_to_float(*last_a)));
        *last_a = *last_b = 0;
      }
      EXPECT_EQ(a, b) << f << " " << n;
    }
  }
}

TEST_P(Kernels, Fp8CodesHaveTheBitsOfTheReference) {
  std::vector<uint8_t> codes(256 + 256);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i);
  for (const float scale : {1.0f, -0.3f, 7.1e-5f, 1e-38f, 0.0f}) {
    for (int64_t n = 0; n <= 512; n += n < 40 ? 1 : 59) {
      std::vector<float> a(513, 5.0f), b = a;
      fast.fp8_floats(a.data(), codes.data() + 512 - n, scale, n);
      slow.fp8_floats(b.data(), codes.data() + 512 - n, scale, n);
      for (size_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(std::isnan(a[i]), std::isnan(b[i])) << i;
        if (!std::isnan(a[i])) {
          ASSERT_EQ(a[i], b[i]) << n << " " << i << " " << scale;
        }
      }
    }
  }
}

TEST_P(Kernels, DotRowsMatchAndIgnoreNeighbours) {
  for (int f = 0; f < kFloatFormats; ++f) {
    const int64_t size = f == kFloatF32 ? 4 : 2;
    for (const int64_t cols : kLengths) {
      const int64_t rows = cols % 17, tokens = 13;
      if (rows == 0) continue;
      std::vector<float> values = random_floats(rows * cols, 1);
      std::vector<std::byte> stored(values.size() * 4);
      slow.store[f](stored.data(), values.data(), rows * cols);
      const std::vector<float> x = random_floats(tokens * cols, 2);
      std::vector<const void*> w;
      for (int64_t r = 0; r < rows; ++r) w.push_back(stored.data() + r * cols * size);
      std::vector<const float*> in;
      std::vector<float*> out;
      std::vector<float> got(static_cast<size_t>(tokens * rows)), want = got, one = got;
      const auto run = [&](const KernelTable& k, std::vector<float>& y, int64_t step) {
        in.clear();
        out.clear();
        for (int64_t t = 0; t < tokens; ++t) {
          in.push_back(x.data() + t * cols);
          out.push_back(y.data() + t * rows);
        }
        for (int64_t t = 0; t < tokens; t += step) {
          const int64_t n = std::min(step, tokens - t);
          k.dot_rows[f](out.data() + t, in.data() + t, n, w.data(), rows, cols);
        }
      };
      run(slow, want, tokens);
      for (const int64_t step : {1, 2, 3, 4, 5, 13}) {
        run(fast, got, step);
        EXPECT_LT(error_of(got, want), 1e-6f) << f << " " << cols;
        if (step == 1) one = got;
        EXPECT_EQ(got, one) << "bits depend on the batch: " << f << " " << cols << " " << step;
      }
    }
  }
}

TEST_P(Kernels, QuantizedActivationsAreIdentical) {
  for (const int64_t n : kLengths) {
    for (const int64_t first : {0, 3, 7}) {
      std::vector<float> x = random_floats(n, 1, 3.0f);
      if (n > 40) std::fill(x.begin(), x.begin() + 32, 0.0f);
      std::vector<ActivationBlock> a(4), b(4);
      std::memset(a.data(), 9, 4 * sizeof(ActivationBlock));
      std::memset(b.data(), 9, 4 * sizeof(ActivationBlock));
      fast.quantize(a.data(), x.data(), n, first);
      slow.quantize(b.data(), x.data(), n, first);
      EXPECT_EQ(std::memcmp(a.data(), b.data(), 4 * sizeof(ActivationBlock)), 0) << n;
    }
  }
}

TEST_P(Kernels, EveryWordIsRead) {
  for (const int64_t n : kLengths) {
    std::vector<uint64_t> words;
    for (int64_t i = 0; i < n; ++i) words.push_back(random_bits(1, 2, static_cast<uint64_t>(i)));
    EXPECT_EQ(fast.read_words(words.data(), n), slow.read_words(words.data(), n)) << n;
  }
}

constexpr DType kPacked[] = {DType::kQ4_K, DType::kQ5_K,   DType::kQ6_K,   DType::kQ8_0,
                             DType::kQ4_0, DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4};

// Random rows with finite scales.
std::vector<std::byte> random_rows(DType type, int64_t rows, int64_t cols) {
  std::vector<std::byte> out = random_bytes(rows * row_bytes(type, cols), 3);
  const auto block = static_cast<size_t>(dtype_info(type).block_bytes);
  for (size_t at = 0; at < out.size(); at += block) {
    if (type == DType::kMXFP4) {  // an exponent
      out[at] = (out[at] & std::byte{0x07}) | std::byte{0x78};
      continue;
    }
    // The top byte of an fp16 between 2^-9 and 2^-5.
    const size_t d = type == DType::kQ6_K ? block - 1 : 1;
    out[at + d] = (out[at + d] & std::byte{0x0f}) | std::byte{0x20};
    if (type == DType::kQ4_K || type == DType::kQ5_K)
      out[at + 3] = (out[at + 3] & std::byte{0x0f}) | std::byte{0x20};
  }
  return out;
}

TEST(Pack, IsReversedBitForBit) {
  for (const DType type : kPacked) {
    const PanelFormat format = *panel_format(type);
    const bool k_type = dtype_info(type).block_elements == 256;
    for (const int64_t cols : {k_type ? 256 : 32, k_type ? 512 : 96, k_type ? 768 : 352}) {
      const int64_t bytes = row_bytes(type, cols);
      const std::vector<std::byte> rows = random_bytes(kPanelRows * bytes, 7);
      std::vector<std::byte> panel(
          static_cast<size_t>(panel_blocks(cols) * panel_block_bytes(format)));
      std::vector<std::byte> back(rows.size());
      for (int n = 0; n < kPanelRows; ++n)
        pack_row(format, panel.data(), n, rows.data() + n * bytes, cols);
      for (int n = 0; n < kPanelRows; ++n)
        unpack_row(format, panel.data(), n, back.data() + n * bytes, cols);
      EXPECT_EQ(rows, back) << dtype_name(type) << " " << cols;
    }
  }
}

TEST_P(Kernels, PanelsMatchAndIgnoreNeighbours) {
  for (const DType type : kPacked) {
    const PanelFormat format = *panel_format(type);
    for (const int64_t cols : {256, 1024}) {
      const int64_t rows = 48, tokens = 15, blocks = panel_blocks(cols);
      const std::vector<std::byte> stored = random_rows(type, rows, cols);
      const int64_t panel_bytes = blocks * panel_block_bytes(format);
      std::vector<std::byte> memory(static_cast<size_t>(rows / 16 * panel_bytes + 64));
      auto* panels = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
      for (int64_t r = 0; r < rows; ++r)
        pack_row(format, panels + r / 16 * panel_bytes, static_cast<int>(r % 16),
                 stored.data() + r * row_bytes(type, cols), cols);
      const std::vector<float> x = random_floats(tokens * cols, 2);
      std::vector<ActivationBlock> codes(static_cast<size_t>(tokens * blocks));
      std::vector<const ActivationBlock*> in;
      for (int64_t t = 0; t < tokens; ++t) {
        slow.quantize(codes.data() + t * blocks, x.data() + t * cols, cols, 0);
        in.push_back(codes.data() + t * blocks);
      }
      std::vector<float> got(static_cast<size_t>(tokens * rows)), want = got, one = got;
      const auto run = [&](const KernelTable& k, std::vector<float>& y, int64_t step) {
        std::vector<float*> out;
        for (int64_t t = 0; t < tokens; ++t) out.push_back(y.data() + t * rows);
        for (int64_t t = 0; t < tokens; t += step) {
          const int64_t n = std::min(step, tokens - t);
          k.panel_dot[format](out.data() + t, in.data() + t, n, panels, rows / 16, blocks);
        }
      };
      run(slow, want, tokens);
      for (const int64_t step : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15}) {
        run(fast, got, step);
        EXPECT_LT(error_of(got, want), 1e-6f) << dtype_name(type) << " " << cols;
        if (step == 1) one = got;
        EXPECT_EQ(got, one) << "bits depend on the batch: " << dtype_name(type) << " " << step;
      }
    }
  }
}

// Codes and activations at the ends of their ranges: sums of products must not saturate.
TEST_P(Kernels, PanelsSurviveExtremeCodes) {
  for (const DType type : kPacked) {
    const PanelFormat format = *panel_format(type);
    for (const int fill : {0x00, 0xff, 0x7f, 0x80}) {
      std::vector<std::byte> row(static_cast<size_t>(row_bytes(type, 256)),
                                 static_cast<std::byte>(fill));
      const auto block = static_cast<size_t>(dtype_info(type).block_bytes);
      for (size_t at = 0; at < row.size(); at += block) {
        const uint16_t one = float_to_fp16(1.0f);
        std::memcpy(&row[at + (type == DType::kQ6_K ? 208 : 0)], &one, 2);
        if (type == DType::kQ4_K || type == DType::kQ5_K) std::memcpy(&row[at + 2], &one, 2);
        if (type == DType::kMXFP4) {  // the exponent; no code to spare
          row[at] = std::byte{127};
          row[at + 1] = static_cast<std::byte>(fill);
        }
      }
      alignas(64) std::byte panel[sizeof(PanelQ80)] = {};
      for (int n = 0; n < 16; ++n) pack_row(format, panel, n, row.data(), 256);
      for (const float sign : {1.0f, -1.0f}) {
        const std::vector<float> x(256, sign * 127.0f);
        ActivationBlock codes;
        slow.quantize(&codes, x.data(), 256, 0);
        const ActivationBlock* in = &codes;
        std::vector<float> got(16), want(16);
        float* out = got.data();
        fast.panel_dot[format](&out, &in, 1, panel, 1, 1);
        out = want.data();
        slow.panel_dot[format](&out, &in, 1, panel, 1, 1);
        EXPECT_LT(error_of(got, want), 1e-6f) << dtype_name(type) << " fill " << fill;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Kernels, testing::ValuesIn(isas_on_this_machine()),
                         [](const testing::TestParamInfo<Isa>& isa) {
                           return std::string(isa_name(isa.param));
                         });

}  // namespace
}  // namespace headgate
