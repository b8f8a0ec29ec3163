// Token buckets.
#include "server/rate_limits.h"

#include <algorithm>
#include <cmath>

#include "server/api_error.h"

namespace headgate {
namespace {

constexpr size_t kMostBuckets = 100000;

double seconds_until(double missing, double per_minute) {
  return std::max(missing, 0.0) * 60 / per_minute;
}

[[noreturn]] void refuse(const char* what, double per_minute, double seconds) {
  throw ApiError(429, "rate_limit_exceeded",
                 fmt::format("this key may take {:.0f} {} a minute; try again in {:.1f} s",
                             per_minute, what, seconds))
      .retry_after(std::max(seconds, 1.0));
}

// "1.5s", as OpenAI writes it below a minute.
std::string duration_text(double seconds) { return fmt::format("{:.3g}s", seconds); }

void add_headers(HttpHeaders& out, const char* what, double per_minute, double left) {
  if (per_minute <= 0) return;
  const std::string ending = std::string("-") + what;
  out.emplace_back("x-ratelimit-limit" + ending, fmt::format("{:.0f}", per_minute));
  out.emplace_back("x-ratelimit-remaining" + ending,
                   fmt::format("{:.0f}", std::floor(std::max(left, 0.0))));
  out.emplace_back("x-ratelimit-reset" + ending,
                   duration_text(seconds_until(per_minute - left, per_minute)));
}

}  // namespace

void RateLimits::set(int64_t requests_per_minute, int64_t tokens_per_minute) {
  const std::lock_guard lock(mutex_);
  const auto requests = static_cast<double>(requests_per_minute);
  const auto tokens = static_cast<double>(tokens_per_minute);
  // What was taken lately stays taken.
  for (auto& entry : buckets_) {
    entry.second.requests += requests - requests_per_minute_;
    entry.second.tokens += tokens - tokens_per_minute_;
  }
  requests_per_minute_ = requests;
  tokens_per_minute_ = tokens;
}

RateLimits::Bucket& RateLimits::filled_bucket(const std::string& tenant, Clock::time_point now) {
  // Only keys become tenants, so that this hardly ever happens.
  if (buckets_.size() >= kMostBuckets) buckets_.clear();
  const auto [at, fresh] = buckets_.try_emplace(tenant);
  Bucket& bucket = at->second;
  const double minutes =
      fresh ? 1 : std::chrono::duration<double>(now - bucket.filled).count() / 60;
  const auto fill = [minutes](double& left, double limit) {
    left = std::min(left + std::max(minutes, 0.0) * limit, limit);
  };
  fill(bucket.requests, requests_per_minute_);
  fill(bucket.tokens, tokens_per_minute_);
  bucket.filled = now;
  return bucket;
}

void RateLimits::take_request(const std::string& tenant, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (requests_per_minute_ <= 0) return;
  Bucket& bucket = filled_bucket(tenant, now);
  if (bucket.requests < 1) {
    refuse("requests", requests_per_minute_,
           seconds_until(1 - bucket.requests, requests_per_minute_));
  }
  bucket.requests -= 1;
}

int64_t RateLimits::reserve(const std::string& tenant, int64_t tokens, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (tokens_per_minute_ <= 0) return 0;
  Bucket& bucket = filled_bucket(tenant, now);
  const double wanted = std::min(static_cast<double>(tokens), tokens_per_minute_);
  if (bucket.tokens < wanted) {
    refuse("tokens", tokens_per_minute_, seconds_until(wanted - bucket.tokens, tokens_per_minute_));
  }
  bucket.tokens -= wanted;
  return static_cast<int64_t>(wanted);
}

void RateLimits::settle(const std::string& tenant, int64_t reserved, int64_t used) {
  const std::lock_guard lock(mutex_);
  const auto found = buckets_.find(tenant);
  if (reserved == 0 || found == buckets_.end()) return;
  found->second.tokens =
      std::min(found->second.tokens + static_cast<double>(reserved - used), tokens_per_minute_);
}

HttpHeaders RateLimits::headers(const std::string& tenant, Clock::time_point now) {
  HttpHeaders out;
  const std::lock_guard lock(mutex_);
  if (requests_per_minute_ <= 0 && tokens_per_minute_ <= 0) return out;
  const Bucket& bucket = filled_bucket(tenant, now);
  add_headers(out, "requests", requests_per_minute_, bucket.requests);
  add_headers(out, "tokens", tokens_per_minute_, bucket.tokens);
  return out;
}

}  // namespace headgate
