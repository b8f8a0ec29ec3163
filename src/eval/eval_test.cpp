// Tests of windows, statistics and the file of reference predictions.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "eval/logits_file.h"
#include "eval/perplexity.h"
#include "eval/speed.h"

namespace headgate {
namespace {

TEST(Windows, ScoreEveryTokenButTheFirstOnce) {
  for (int64_t tokens : {2, 3, 7, 8, 9, 100, 101}) {
    for (int64_t window : {2, 3, 8, 64}) {
      for (int64_t stride = 1; stride < window; ++stride) {
        int64_t next = 1;
        for (const Window& w : make_windows(tokens, window, stride)) {
          EXPECT_EQ(w.scored_from, next);
          EXPECT_LT(w.first, w.scored_from);
          EXPECT_LE(w.last - w.first, window);
          EXPECT_GT(w.last, w.scored_from);
          next = w.last;
        }
        EXPECT_EQ(next, tokens) << tokens << " " << window << " " << stride;
      }
    }
  }
}

TEST(Windows, GiveLaterTokensAContextOfWindowMinusStride) {
  const std::vector<Window> windows = make_windows(10, 4, 2);
  ASSERT_EQ(windows.size(), 4u);
  EXPECT_EQ(windows[0], (Window{0, 4, 1}));
  EXPECT_EQ(windows[1], (Window{2, 6, 4}));
  EXPECT_EQ(windows[3], (Window{6, 10, 8}));
}

TEST(LogSumExp, DoesNotOverflow) {
  const std::vector<float> logits = {1000.0f, 1000.0f};
  EXPECT_NEAR(log_sum_exp(logits), 1000.0 + std::log(2.0), 1e-9);
}

TEST(Statistics, MatchKnownValues) {
  const std::vector<double> samples = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(moments(samples).mean, 2.5);
  EXPECT_NEAR(moments(samples).error, std::sqrt(5.0 / 3.0 / 4.0), 1e-12);
  EXPECT_DOUBLE_EQ(median(samples), 2.5);
  EXPECT_DOUBLE_EQ(quantile(samples, 1.0), 4.0);
  EXPECT_DOUBLE_EQ(quantile({}, 0.5), 0.0);
  EXPECT_DOUBLE_EQ(moments(std::vector<double>{7}).error, 0.0);
}

class LogitsFile : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "headgate-logits-" + std::to_string(::getpid());
  }
  void TearDown() override { std::filesystem::remove(path_); }

  static std::vector<float> log_probabilities(uint64_t seed, size_t size) {
    std::vector<float> logits(size);
    for (size_t i = 0; i < size; ++i) logits[i] = 4.0f * random_normal(seed, 0, i);
    const double shift = log_sum_exp(logits);
    for (float& value : logits) value -= static_cast<float>(shift);
    return logits;
  }

  std::string path_;
};

TEST_F(LogitsFile, ReadsBackWithinItsErrorBound) {
  const LogitsHeader header{300, 4, 4, 2, 3};
  const std::vector<int32_t> tokens = {5, 6, 7, 8};
  LogitsWriter writer(path_, header, tokens);
  for (uint64_t row = 0; row < 3; ++row) writer.add(log_probabilities(row, 300));
  writer.finish();

  LogitsReader reader(path_);
  EXPECT_EQ(reader.header(), header);
  EXPECT_EQ(reader.tokens(), tokens);
  std::vector<double> got(300);
  for (uint64_t row = 0; row < 3; ++row) {
    reader.next(got);
    const std::vector<float> want = log_probabilities(row, 300);
    double sum = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      if (want[i] > -24.0f) {
        EXPECT_NEAR(got[i], static_cast<double>(want[i]), 4e-4);
      }
      sum += std::exp(got[i]);
    }
    EXPECT_NEAR(sum, 1.0, 1e-9);
  }
  EXPECT_THROW(reader.next(got), Error);
}

TEST_F(LogitsFile, RefusesFilesThatContradictTheirHeader) {
  write_text_file(path_, "HGLOGIT1");
  EXPECT_THROW(LogitsReader{path_}, Error);
  std::string bytes = "HGLOGIT1";
  for (int64_t number : {int64_t{1} << 40, int64_t{1} << 62, int64_t{4}, int64_t{2}, int64_t{-1}})
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  write_text_file(path_, bytes);
  EXPECT_THROW(LogitsReader{path_}, Error);
  write_text_file(path_, std::string(100, 'x'));
  EXPECT_THROW(LogitsReader{path_}, Error);
}

}  // namespace
}  // namespace headgate
