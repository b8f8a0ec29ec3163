// Every inner value of the reference's trace, so that a wrong layer is named.
#include <map>

#include "tests/golden/model/golden_case.h"

namespace headgate {
namespace {

class GoldenTrace : public GoldenTest {};

using Values = std::map<std::string, std::vector<float>, std::less<>>;

Values run_traced(const GoldenCase& c) {
  Values heard;
  Runner runner(c.model());
  SequenceState state = runner.create();
  const std::vector<int32_t> ids = c.ids("trace.ids");
  EXPECT_TRUE(state.reserve(static_cast<int64_t>(ids.size())));
  const BatchItem item{&state, ids, LogitRows::kAll};
  StepResult result;
  c.model().forward({&item, 1}, result, [&](std::string_view name, View value) {
    std::vector<float>& out = heard[std::string(name)];
    for (int64_t r = 0; r < value.rows; ++r)
      out.insert(out.end(), value.row(r), value.row(r) + value.cols);
  });
  return heard;
}

// The reference repeats key heads for the value heads they serve.
std::vector<float> repeated(const std::vector<float>& x, const GatedDeltaConfig& delta) {
  const DeltaShape& s = delta.shape;
  const int64_t heads = static_cast<int64_t>(x.size()) / s.key_dim,
                repeat = s.value_heads / s.key_heads;
  std::vector<float> out;
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < repeat; ++i)
      out.insert(out.end(), x.begin() + head * s.key_dim, x.begin() + (head + 1) * s.key_dim);
  }
  return out;
}

std::vector<float> expected_values(const GoldenCase& c, const TensorEntry& entry) {
  if (entry.dtype != DType::kI32) return c.floats(entry.name);
  const std::vector<int32_t> ids = c.ids(entry.name);
  return {ids.begin(), ids.end()};
}

TEST_P(GoldenTrace, EveryInnerValueEqualsTheReferences) {
  const GoldenCase c(GetParam());
  if (!c.has("trace.ids")) GTEST_SKIP() << "the case has no trace";
  const Values heard = run_traced(c);
  int64_t compared = 0;
  for (const TensorEntry& entry : c.expected().tensors()) {
    constexpr std::string_view kPrefix = "trace.";
    if (!entry.name.starts_with(kPrefix) || entry.name == "trace.ids") continue;
    const std::string name = entry.name.substr(kPrefix.size());
    const auto found = heard.find(name);
    if (found == heard.end()) {
      ADD_FAILURE() << name << ": nothing was traced";
      continue;
    }
    const std::vector<float> want = expected_values(c, entry);
    const bool key_heads = name.ends_with(".q") || name.ends_with(".k");
    const std::vector<float> got =
        key_heads ? repeated(found->second, c.config().delta) : found->second;
    const double limit = name == "logits"             ? c.logit_limit()
                         : entry.dtype == DType::kI32 ? 0
                                                      : 1e-4 * largest(want);
    EXPECT_TRUE(all_near(got, want, limit)) << name;
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST_P(GoldenTrace, ListeningChangesNoBit) {
  const GoldenCase c(GetParam());
  if (!c.has("trace.ids")) GTEST_SKIP() << "the case has no trace";
  Values heard = run_traced(c);
  Runner runner(c.model());
  SequenceState state = runner.create();
  EXPECT_EQ(runner.feed(state, c.ids("trace.ids"), 4096), heard["logits"]);
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTrace, testing::ValuesIn(golden_case_names()),
                         case_test_name);

}  // namespace
}  // namespace headgate
