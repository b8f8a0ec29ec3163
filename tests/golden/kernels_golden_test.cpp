// The gated delta rule and rotary embedding against values of the reference implementation, on
// every instruction set of the machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/cpu_info.h"
#include "formats/safetensors.h"

namespace headgate {
namespace {

std::string fixture(const std::string& name) {
  return std::string(HEADGATE_SOURCE_DIR) + "/tests/golden/kernels/" + name + ".safetensors";
}

template <typename T = float>
std::vector<T> values_of(const TensorStore& store, const std::string& name) {
  const auto bytes = store.data(store.require(name));
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

// Largest absolute difference.
float distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float max = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    max = std::max(max, std::fabs(a[i] - b[i]));
  }
  return max;
}

class KernelsGolden : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const char* before = std::getenv("HEADGATE_ISA");
    const std::string saved = before != nullptr ? before : "";
    ::setenv("HEADGATE_ISA", std::string(isa_name(GetParam())).c_str(), 1);
    BackendOptions options;
    options.threads = 2;
    backend_ = open_backend(options);
    if (saved.empty()) {
      ::unsetenv("HEADGATE_ISA");
    } else {
      ::setenv("HEADGATE_ISA", saved.c_str(), 1);
    }
  }
  std::unique_ptr<Backend> backend_;
};

TEST_P(KernelsGolden, GatedDeltaRuleFromRawQueriesAndKeys) {
  const TensorStore store = open_safetensors(fixture("gdn_kernel"));
  const int64_t tokens = 130, dk = 128, dv = 128;
  std::vector<float> q = values_of(store, "q"), k = values_of(store, "k");
  const std::vector<float> v = values_of(store, "v"), g = values_of(store, "g");
  const std::vector<float> beta = values_of(store, "beta");
  backend_->l2_norm({q.data(), tokens, dk}, {q.data(), tokens, dk}, 1.0f / std::sqrt(128.0f));
  backend_->l2_norm({k.data(), tokens, dk}, {k.data(), tokens, dk}, 1.0f);
  const DeltaShape shape{1, 2, dk, dv, false};
  for (const int64_t step : {tokens, int64_t{1}, int64_t{63}}) {
    std::vector<float> o(v.size()), state = values_of(store, "S0");
    for (int64_t at = 0; at < tokens; at += step) {
      RecurrentSpan span;
      span.rows = {at, std::min(step, tokens - at), at};
      span.delta = state.data();
      backend_->gated_delta_rule({o.data(), tokens, 2 * dv}, {q.data(), tokens, dk},
                                 {k.data(), tokens, dk}, {v.data(), tokens, 2 * dv},
                                 {beta.data(), tokens, 2}, {g.data(), tokens, 2}, shape,
                                 {&span, 1});
    }
    EXPECT_LT(distance(o, values_of(store, "o")), 1e-6f) << step;
    EXPECT_LT(distance(state, values_of(store, "S1")), 1e-5f) << step;
  }
}

TEST_P(KernelsGolden, RotationAnglesOfFarPositions) {
  const TensorStore store = open_safetensors(fixture("rope_tables"));
  const auto positions = values_of<int32_t>(store, "positions");
  const auto tokens = static_cast<int64_t>(positions.size());
  for (const std::string name : {"next", "next_yarn4", "coder_next"}) {
    RopeTable table;
    table.inverse_frequencies = values_of(store, name + ".inv_freq");
    table.scale = values_of(store, name + ".attention_factor")[0];
    const auto half = static_cast<int64_t>(table.inverse_frequencies.size());
    // Rotating (1, 0) gives (cos, sin).
    std::vector<float> x(static_cast<size_t>(tokens * 2 * half));
    std::vector<RopeSpan> spans;
    for (int64_t t = 0; t < tokens; ++t) {
      std::fill_n(x.begin() + t * 2 * half, half, 1.0f);
      spans.push_back({{t, 1, positions[static_cast<size_t>(t)]}, &table});
    }
    const RopePart part{{x.data(), tokens, 2 * half}, 1, 2 * half};
    backend_->rope({&part, 1}, spans);
    const auto cosines = values_of(store, name + ".cos"), sines = values_of(store, name + ".sin");
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t j = 0; j < half; ++j) {
        const auto at = static_cast<size_t>(t * half + j);
        const auto row = static_cast<size_t>(t * 2 * half + j);
        EXPECT_NEAR(x[row], cosines[at], 1e-6f) << name << " " << positions[t] << " " << j;
        EXPECT_NEAR(x[row + static_cast<size_t>(half)], sines[at], 1e-6f) << name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, KernelsGolden, testing::ValuesIn(isas_on_this_machine()),
                         [](const testing::TestParamInfo<Isa>& isa) {
                           return std::string(isa_name(isa.param));
                         });

}  // namespace
}  // namespace headgate
