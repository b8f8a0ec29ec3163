// Limits per key: what a minute holds, how it fills again, and that reservations are exact.
#include "server/rate_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "server/api_error.h"

namespace headgate {
namespace {

using Clock = RateLimits::Clock;

double retry_of(RateLimits& limits, int64_t tokens, Clock::time_point now) {
  try {
    limits.reserve("a", tokens, now);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 429);
    EXPECT_EQ(error.api_code(), "rate_limit_exceeded");
    return error.retry_after_seconds();
  }
  return 0;
}

TEST(RateLimits, AMinuteHoldsSoManyRequestsAndFillsEvenly) {
  RateLimits limits;
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < 100; ++i) limits.take_request("a", start);  // no limit yet
  limits.set(6, 0);
  for (int i = 0; i < 6; ++i) limits.take_request("a", start);
  EXPECT_THROW(limits.take_request("a", start), ApiError);
  EXPECT_THROW(limits.take_request("a", start + std::chrono::seconds(9)), ApiError);
  limits.take_request("b", start);
  limits.take_request("a", start + std::chrono::seconds(11));
  EXPECT_THROW(limits.take_request("a", start + std::chrono::seconds(11)), ApiError);
  const HttpHeaders headers = limits.headers("b", start);
  ASSERT_EQ(headers.size(), 3u) << "no limit of tokens, no headers of it";
  EXPECT_EQ(headers[0].second, "6");
  EXPECT_EQ(headers[1].first, "x-ratelimit-remaining-requests");
  EXPECT_EQ(headers[1].second, "5");
  EXPECT_EQ(headers[2].second, "10s");
}

TEST(RateLimits, TokensAreSetAsideAndComeBack) {
  RateLimits limits;
  limits.set(0, 600);
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(limits.reserve("a", 500, start), 500);
  EXPECT_NEAR(retry_of(limits, 200, start), 10, 0.1);
  limits.settle("a", 500, 100);
  EXPECT_EQ(limits.reserve("a", 500, start), 500);
  EXPECT_GT(retry_of(limits, 1, start), 0);
  // More than a minute's worth needs a full bucket, and takes it all.
  EXPECT_EQ(limits.reserve("b", 100000, start), 600);
  EXPECT_GT(retry_of(limits, 100000, start + std::chrono::seconds(59)), 0);
  EXPECT_EQ(limits.reserve("a", 100000, start + std::chrono::seconds(61)), 600);
  limits.set(0, 700);
  EXPECT_EQ(limits.reserve("a", 100, start + std::chrono::seconds(61)), 100);
}

TEST(RateLimits, RequestsThatComeAtOnceDoNotPassTheLimitTogether) {
  RateLimits limits;
  limits.set(0, 1000);
  const Clock::time_point now = Clock::now();
  std::atomic<int64_t> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) {
        try {
          granted += limits.reserve("a", 7, now);
        } catch (const ApiError&) {
          continue;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted, 994);
}

}  // namespace
}  // namespace headgate
