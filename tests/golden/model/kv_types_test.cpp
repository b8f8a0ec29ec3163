// Every type of cached keys and values: how far its logits stray from those of an fp32 cache, and
// that going back leaves no trace in it.
#include <algorithm>
#include <cmath>

#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

class GoldenKvTypes : public GoldenTest {};

struct KvBound {
  DType dtype;
  double divergence;  // nats, median over tokens
};

// The cases are small random models, which amplify noise more than trained ones; tokens whose
// experts change make means useless.
constexpr KvBound kBounds[] = {
    {DType::kF16, 1e-5}, {DType::kBF16, 2e-3}, {DType::kI8, 1e-2}, {DType::kQ4_0, 1.5}};

std::vector<int32_t> some_tokens(const ModelConfig& config, int64_t count) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<int32_t>((i * i * 31 + i * 7 + 3) % config.vocabulary));
  return out;
}

// Median over rows of the Kullback-Leibler divergence of softmax(other) from softmax(truth).
double divergence(const std::vector<float>& truth, const std::vector<float>& other,
                  int64_t vocabulary) {
  const auto width = static_cast<size_t>(vocabulary);
  std::vector<double> rows;
  for (size_t row = 0; row < truth.size(); row += width) {
    const auto log_sum = [&](const std::vector<float>& x) {
      double sum = 0;
      for (size_t i = 0; i < width; ++i) sum += std::exp(static_cast<double>(x[row + i]));
      return std::log(sum);
    };
    const double a = log_sum(truth), b = log_sum(other);
    double total = 0;
    for (size_t i = 0; i < width; ++i)
      total += std::exp(truth[row + i] - a) * (truth[row + i] - a - other[row + i] + b);
    rows.push_back(total);
  }
  std::nth_element(rows.begin(), rows.begin() + static_cast<int64_t>(rows.size() / 2), rows.end());
  return rows[rows.size() / 2];
}

TEST_P(GoldenKvTypes, StayNearFp32) {
  const GoldenCase c(GetParam());
  const std::vector<int32_t> ids = some_tokens(c.config(), 96);
  Runner exact(c.model());
  SequenceState truth = exact.create();
  const std::vector<float> want = exact.feed(truth, ids, 32);
  for (const KvBound& bound : kBounds) {
    Runner runner(c.model(), 64, bound.dtype);
    SequenceState state = runner.create();
    const double found = divergence(want, runner.feed(state, ids, 32), c.config().vocabulary);
    RecordProperty(std::string(kv_type_name(bound.dtype)), std::to_string(found));
    EXPECT_LT(found, bound.divergence) << kv_type_name(bound.dtype);
  }
}

TEST_P(GoldenKvTypes, GoingBackAndForkingLeaveNoTrace) {
  const GoldenCase c(GetParam());
  const std::vector<int32_t> ids = some_tokens(c.config(), 60);
  const std::span<const int32_t> first(ids.data(), 37), rest(ids.data() + 37, 23);
  for (const KvBound& bound : kBounds) {
    Runner runner(c.model(), 32, bound.dtype);
    SequenceState state = runner.create();
    (void)runner.last(state, first);
    ASSERT_TRUE(state.keep_snapshot());
    std::optional<SequenceState> branch = state.fork();
    ASSERT_TRUE(branch.has_value());
    const std::vector<float> want = runner.last(state, rest);
    (void)runner.last(*branch, some_tokens(c.config(), 40));  // writes pages that were shared
    EXPECT_EQ(state.rewind(37), 37);
    EXPECT_EQ(runner.last(state, rest), want) << kv_type_name(bound.dtype);
    EXPECT_EQ(branch->rewind(37), 37);
    EXPECT_EQ(runner.last(*branch, rest), want) << kv_type_name(bound.dtype);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenKvTypes, testing::ValuesIn(golden_case_names()),
                         case_test_name);

}  // namespace
}  // namespace headgate
