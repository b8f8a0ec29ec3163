// The sampling chain: adjust, collect, filter, draw.
#include "sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace headgate {
namespace {

// Separates this use of the seed from any other.
constexpr uint64_t kDrawStream = 0x73616d706c65;

void check_range(const char* field, double value, double low, double high) {
  if (std::isnan(value) || value < low || value > high) {
    fail(ErrorCode::kInvalidArgument, "{}: found {}, expected {} to {}", field, value, low, high);
  }
}

// Four values in a vector register, which every CPU has; four registers at a time.
using Lanes [[gnu::vector_size(16)]] = float;
constexpr size_t kRegisters = 4, kLanes = 4 * kRegisters;

bool any_at_least(const float* values, float bound) {
  Lanes v[kRegisters];
  std::memcpy(v, values, sizeof v);
  const auto reached = (v[0] >= bound) | (v[1] >= bound) | (v[2] >= bound) | (v[3] >= bound);
  return (reached[0] | reached[1] | reached[2] | reached[3]) != 0;
}

// A value that at least k of `values` reach: the k-th largest among the maxima of columns of
// blocks, of which there are about four times k. Minus infinity where that would save nothing.
float bound_of_largest(std::span<const float> values, size_t k, std::vector<float>& maxima) {
  const size_t blocks = (4 * k + kLanes - 1) / kLanes, rows = values.size() / kLanes / blocks;
  if (rows < 4) return -std::numeric_limits<float>::infinity();
  maxima.resize(blocks * kLanes);
  for (size_t block = 0; block < blocks; ++block) {
    const float* from = values.data() + block * rows * kLanes;
    Lanes most[kRegisters], next[kRegisters];
    for (Lanes& lanes : most) lanes = Lanes{} - std::numeric_limits<float>::infinity();
    for (size_t row = 0; row < rows; ++row) {
      std::memcpy(next, from + row * kLanes, sizeof next);
      for (size_t i = 0; i < kRegisters; ++i) most[i] = next[i] > most[i] ? next[i] : most[i];
    }
    std::memcpy(maxima.data() + block * kLanes, most, sizeof most);
  }
  const auto kth = maxima.begin() + static_cast<ptrdiff_t>(k - 1);
  std::nth_element(maxima.begin(), kth, maxima.end(), std::greater<>());
  return *kth;
}

// Calls f(index) for every value that is at least `bound`, in order. Most are not.
template <typename F>
void for_each_from(std::span<const float> values, float bound, const F& f) {
  size_t first = 0;
  for (; first + kLanes <= values.size(); first += kLanes) {
    if (!any_at_least(values.data() + first, bound)) continue;
    for (size_t i = first; i < first + kLanes; ++i) {
      if (values[i] >= bound) f(i);
    }
  }
  for (; first < values.size(); ++first) {
    if (values[first] >= bound) f(first);
  }
}

// log(sum(exp(logits))), accumulated in double.
double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum);
}

}  // namespace

void check_sampling_params(const SamplingParams& p, int64_t vocabulary) {
  check_range("temperature", p.temperature, 0, 100);
  check_range("top_k", p.top_k, 0, std::numeric_limits<int32_t>::max());
  check_range("top_p", p.top_p, 0, 1);
  check_range("min_p", p.min_p, 0, 1);
  check_range("typical_p", p.typical_p, 0, 1);
  check_range("repetition_penalty", p.repetition_penalty, 1e-3, 1e3);
  check_range("presence_penalty", p.presence_penalty, -100, 100);
  check_range("frequency_penalty", p.frequency_penalty, -100, 100);
  check_range("top_logprobs", p.top_logprobs, -1, static_cast<double>(vocabulary));
  for (const auto& [token, bias] : p.logit_bias) {
    if (token < 0 || token >= vocabulary) {
      fail(ErrorCode::kInvalidArgument, "logit_bias: found token {}, expected 0 to {}", token,
           vocabulary - 1);
    }
    // Minus infinity bans a token; plus infinity would make every probability NaN.
    if (std::isnan(bias) || bias > 1e9f) {
      fail(ErrorCode::kInvalidArgument, "logit_bias: found {} for token {}, expected a number",
           bias, token);
    }
  }
}

int32_t argmax(std::span<const float> logits, int64_t text_tokens) {
  // Integers in the order of the floats: the compiler takes the largest of many at once, which the
  // rules for floats forbid.
  const auto rank = [](float logit) {
    const auto bits = std::bit_cast<int32_t>(logit);
    const int32_t size = bits & 0x7fffffff;
    const int32_t value = bits < 0 ? -size : size;
    return size > 0x7f800000 ? std::numeric_limits<int32_t>::min() : value;  // not a number
  };
  const size_t count =
      std::min(logits.size(), static_cast<size_t>(std::max<int64_t>(text_tokens, 0)));
  constexpr size_t kPiece = 1024;
  int32_t most = std::numeric_limits<int32_t>::min();
  size_t from = 0;  // of the first piece that has the largest
  for (size_t piece = 0; piece < count; piece += kPiece) {
    int32_t largest = std::numeric_limits<int32_t>::min();
    for (const float logit : logits.subspan(piece, std::min(kPiece, count - piece)))
      largest = std::max(largest, rank(logit));
    if (largest <= most) continue;
    most = largest;
    from = piece;
  }
  while (from < count && rank(logits[from]) != most) ++from;
  return static_cast<int32_t>(std::min(from, count == 0 ? 0 : count - 1));
}

Sampler::Sampler(SamplingParams params, int64_t text_tokens)
    : params_(std::move(params)), text_tokens_(text_tokens) {
  HEADGATE_CHECK(text_tokens_ > 0);
}

void Sampler::add_prompt(std::span<const int32_t> tokens) {
  if (params_.repetition_penalty == 1.0f) return;
  for (const int32_t token : tokens) ++seen_[token];
}

void Sampler::constrain(std::unique_ptr<ConstraintState> state) {
  constraint_ = std::move(state);
  refused_ = 0;
}

void Sampler::count(int32_t token) {
  if (constraint_ != nullptr && (refused_ > 0 || !constraint_->accept(token))) ++refused_;
  generated_.push_back(token);
  if (penalises()) ++generated_counts_[token];
  if (params_.repetition_penalty != 1.0f) ++seen_[token];
}

void Sampler::uncount(int64_t tokens) {
  HEADGATE_CHECK(tokens >= 0 && tokens <= static_cast<int64_t>(generated_.size()));
  if (constraint_ != nullptr) {
    const int64_t refused = std::min(refused_, tokens);
    refused_ -= refused;
    constraint_->rewind(std::min(tokens - refused, constraint_->accepted()));
  }
  const auto take_one = [](std::unordered_map<int32_t, int32_t>& counts, int32_t token) {
    const auto found = counts.find(token);
    if (--found->second == 0) counts.erase(found);
  };
  for (; tokens > 0; --tokens) {
    if (penalises()) take_one(generated_counts_, generated_.back());
    if (params_.repetition_penalty != 1.0f) take_one(seen_, generated_.back());
    generated_.pop_back();
  }
}

void Sampler::apply_mask() {
  const auto count = static_cast<int64_t>(adjusted_.size());
  mask_.resize(static_cast<size_t>(mask_words(count)));
  if (!constraint_->fill_mask(mask_)) {
    fail(ErrorCode::kUnsupported, "constrained text: no token can continue it: {}",
         constraint_->explain());
  }
  for (size_t word = 0; word < mask_.size(); ++word) {
    const size_t first = word * 64;
    const size_t end = std::min(first + 64, adjusted_.size());
    for (size_t token = first; mask_[word] != ~uint64_t{0} && token < end; ++token) {
      if ((mask_[word] >> (token - first) & 1) == 0)
        adjusted_[token] = -std::numeric_limits<float>::infinity();
    }
  }
}

int32_t Sampler::best_allowed() const {
  const int32_t best = argmax(values_, text_tokens_);
  if (!masking() || std::isfinite(values_[static_cast<size_t>(best)])) return best;
  for (size_t word = 0; word < mask_.size(); ++word) {
    if (mask_[word] != 0)
      return static_cast<int32_t>(word * 64 + static_cast<size_t>(std::countr_zero(mask_[word])));
  }
  return best;
}

bool Sampler::adjusts() const {
  return masking() || penalises() || params_.temperature == 0.0f ||
         params_.repetition_penalty != 1.0f || !params_.logit_bias.empty();
}

void Sampler::adjust_logits(std::span<const float> logits) {
  const auto count = std::min<int64_t>(text_tokens_, static_cast<int64_t>(logits.size()));
  values_ = logits.first(static_cast<size_t>(count));
  if (!adjusts()) return;
  adjusted_.assign(logits.begin(), logits.begin() + count);
  values_ = adjusted_;
  // A NaN would win or lose every comparison depending on its place; it can only come from broken
  // weights.
  for (float& logit : adjusted_)
    logit = std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit;
  if (masking()) apply_mask();
  const auto in_range = [&](int32_t token) { return token >= 0 && token < count; };
  if (params_.repetition_penalty != 1.0f) {
    for (const auto& [token, occurrences] : seen_) {
      if (!in_range(token)) continue;
      float& logit = adjusted_[static_cast<size_t>(token)];
      logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
    }
  }
  if (penalises()) {
    for (const auto& [token, times] : generated_counts_) {
      if (!in_range(token)) continue;
      adjusted_[static_cast<size_t>(token)] -=
          params_.presence_penalty + params_.frequency_penalty * static_cast<float>(times);
    }
  }
  for (const auto& [token, bias] : params_.logit_bias) {
    if (in_range(token)) adjusted_[static_cast<size_t>(token)] += bias;
  }
}

void Sampler::collect_candidates() {
  candidates_.clear();
  if (params_.temperature == 0.0f) {
    candidates_.push_back({best_allowed(), 0.0f, 1.0});
    return;
  }
  const float scale = 1.0f / params_.temperature;
  const auto k = static_cast<size_t>(params_.top_k);
  const bool few = k > 0 && k < values_.size();
  const float bound =
      few ? bound_of_largest(values_, k, kept_) : -std::numeric_limits<float>::infinity();
  for_each_from(values_, bound, [&](size_t token) {
    const float logit = values_[token] * scale;
    if (std::isfinite(logit)) candidates_.push_back({static_cast<int32_t>(token), logit, 0.0});
  });
  if (few) keep_largest(k);
  if (candidates_.empty()) candidates_.push_back({best_allowed(), 0.0f, 1.0});
}

// Those that are as likely as the k-th largest stay too.
void Sampler::keep_largest(size_t k) {
  if (candidates_.size() <= k) return;
  kept_.clear();
  for (const Candidate& c : candidates_) kept_.push_back(c.logit);
  const auto kth = kept_.begin() + static_cast<ptrdiff_t>(k - 1);
  std::nth_element(kept_.begin(), kth, kept_.end(), std::greater<>());
  std::erase_if(candidates_, [least = *kth](const Candidate& c) { return c.logit < least; });
}

void Sampler::normalise() {
  float top = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates_) top = std::max(top, c.logit);
  double sum = 0;
  for (Candidate& c : candidates_) {
    c.probability = std::exp(static_cast<double>(c.logit) - top);
    sum += c.probability;
  }
  for (Candidate& c : candidates_) c.probability /= sum;
}

void Sampler::keep_top_p() {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  // Sort only as much as the mass needs: usually a few hundred of 150,000.
  size_t sorted = 0;
  size_t kept = 0;
  double mass = 0;
  while (kept < candidates_.size()) {
    if (kept == sorted) {
      const size_t next = std::min(candidates_.size(), std::max<size_t>(256, sorted * 8));
      const auto begin = candidates_.begin();
      std::partial_sort(begin + static_cast<ptrdiff_t>(sorted),
                        begin + static_cast<ptrdiff_t>(next), candidates_.end(), better);
      sorted = next;
    }
    mass += candidates_[kept++].probability;
    if (mass >= static_cast<double>(params_.top_p)) break;
  }
  candidates_.resize(kept);
}

void Sampler::keep_min_p() {
  double top = 0;
  for (const Candidate& c : candidates_) top = std::max(top, c.probability);
  const double threshold = top * static_cast<double>(params_.min_p);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.probability < threshold; });
}

void Sampler::keep_typical() {
  double entropy = 0;
  for (const Candidate& c : candidates_) {
    if (c.probability > 0) entropy -= c.probability * std::log(c.probability);
  }
  const auto distance = [&](const Candidate& c) {
    return c.probability > 0 ? std::fabs(-std::log(c.probability) - entropy)
                             : std::numeric_limits<double>::infinity();
  };
  std::sort(candidates_.begin(), candidates_.end(), [&](const Candidate& a, const Candidate& b) {
    const double da = distance(a), db = distance(b);
    return da != db ? da < db : a.token < b.token;
  });
  double mass = 0;
  size_t kept = 0;
  while (kept < candidates_.size() &&
         (kept == 0 || mass < static_cast<double>(params_.typical_p))) {
    mass += candidates_[kept++].probability;
  }
  candidates_.resize(kept);
}

void Sampler::prepare(std::span<const float> logits) {
  adjust_logits(logits);
  collect_candidates();
  if (candidates_.size() == 1) {
    candidates_.front().probability = 1.0;
    return;
  }
  normalise();
  if (params_.top_p < 1.0f) {
    keep_top_p();
    normalise();
  }
  if (params_.min_p > 0.0f) {
    keep_min_p();
    normalise();
  }
  if (params_.typical_p < 1.0f) {
    keep_typical();
    normalise();
  }
}

int32_t Sampler::draw() const {
  const uint64_t position =
      mix_bits(mix_bits(params_.seed) ^ (kDrawStream + static_cast<uint64_t>(generated_.size())));
  int32_t chosen = -1;
  double best = std::numeric_limits<double>::infinity();
  for (const Candidate& c : candidates_) {
    if (c.probability <= 0) continue;
    const uint64_t bits = mix_bits(position ^ static_cast<uint64_t>(c.token));
    const double u = (static_cast<double>(bits >> 11) + 0.5) * 0x1.0p-53;
    // -log(u) >= 1 - u: the logarithm is only needed of the few that may win.
    if (1.0 - u > best * c.probability) continue;
    const double time = -std::log(u) / c.probability;
    if (time > best || (time == best && c.token > chosen)) continue;
    best = time;
    chosen = c.token;
  }
  HEADGATE_CHECK(chosen >= 0);
  return chosen;
}

bool Sampler::is_plain_greedy() const {
  return params_.temperature == 0.0f && params_.repetition_penalty == 1.0f &&
         params_.presence_penalty == 0.0f && params_.frequency_penalty == 0.0f &&
         params_.logit_bias.empty() && constraint_ == nullptr;
}

int32_t Sampler::choose(std::span<const float> logits) {
  if (is_plain_greedy()) return argmax(logits, text_tokens_);
  prepare(logits);
  return draw();
}

SampledToken Sampler::sample(std::span<const float> logits) {
  SampledToken sampled;
  sampled.token = choose(logits);
  if (params_.top_logprobs >= 0) add_logprobs(logits, sampled);
  const bool masked = masking();
  count(sampled.token);
  if (masked && refused_ > 0) {
    fail(ErrorCode::kInternal, "constrained text: token {} was allowed and then refused: {}",
         sampled.token, constraint_->explain());
  }
  return sampled;
}

int32_t Sampler::draft(std::span<const float> logits) {
  const int32_t token = choose(logits);
  count(token);
  return token;
}

std::vector<double> Sampler::distribution(std::span<const float> logits) {
  prepare(logits);
  std::vector<double> probabilities(logits.size(), 0.0);
  for (const Candidate& c : candidates_)
    probabilities[static_cast<size_t>(c.token)] = c.probability;
  return probabilities;
}

void Sampler::add_logprobs(std::span<const float> logits, SampledToken& sampled) const {
  const auto count = std::min<size_t>(static_cast<size_t>(text_tokens_), logits.size());
  const std::span<const float> text = logits.first(count);
  const double total = log_sum_exp(text);
  const auto logprob = [&](int32_t token) {
    return static_cast<float>(text[static_cast<size_t>(token)] - total);
  };
  sampled.logprob = logprob(sampled.token);
  std::vector<int32_t> ids(count);
  std::iota(ids.begin(), ids.end(), 0);
  const auto wanted = std::min<size_t>(static_cast<size_t>(params_.top_logprobs), count);
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(wanted), ids.end(),
                    [&](int32_t a, int32_t b) {
                      const float la = text[static_cast<size_t>(a)],
                                  lb = text[static_cast<size_t>(b)];
                      return la != lb ? la > lb : a < b;
                    });
  for (size_t i = 0; i < wanted; ++i) sampled.top_logprobs.push_back({ids[i], logprob(ids[i])});
}

}  // namespace headgate
