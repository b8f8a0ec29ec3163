// How many requests and tokens each key may take in a minute.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "server/http/message.h"

namespace headgate {

// Two buckets for each tenant, which fill evenly and hold a minute's worth. Tokens are set aside
// for the longest answer that a request may get, before it begins, and what it did not use comes
// back at its end: requests that come at once cannot pass the limit together. Thread rule: any
// thread.
class RateLimits {
 public:
  using Clock = std::chrono::steady_clock;

  // From now on; 0: no limit.
  void set(int64_t requests_per_minute, int64_t tokens_per_minute);

  // Throws ApiError 429 rate_limit_exceeded that says when to come again.
  void take_request(const std::string& tenant, Clock::time_point now = Clock::now());
  // Sets tokens aside; what is more than a minute's worth counts as that. Returns how many, for
  // settle(). Throws as take_request().
  int64_t reserve(const std::string& tenant, int64_t tokens, Clock::time_point now = Clock::now());
  void settle(const std::string& tenant, int64_t reserved, int64_t used);

  // OpenAI's x-ratelimit-{limit,remaining,reset}-{requests,tokens}, for the limits that there are.
  HttpHeaders headers(const std::string& tenant, Clock::time_point now = Clock::now());

 private:
  struct Bucket {
    double requests = 0, tokens = 0;  // that may be taken
    Clock::time_point filled;
  };

  Bucket& filled_bucket(const std::string& tenant, Clock::time_point now);

  std::mutex mutex_;
  double requests_per_minute_ = 0, tokens_per_minute_ = 0;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace headgate
