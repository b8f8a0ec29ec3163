// Softmax over one row, and its largest entries.
#include "engine/prompt_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace headgate {

SampledToken score_token(std::span<const float> logits, int64_t text_tokens, int32_t token,
                         int32_t best) {
  const std::span<const float> text =
      logits.first(std::min(static_cast<size_t>(text_tokens), logits.size()));
  const double top = static_cast<double>(*std::max_element(text.begin(), text.end()));
  double sum = 0;
  for (const float logit : text) sum += std::exp(static_cast<double>(logit) - top);
  const double total = top + std::log(sum);
  const auto logprob = [&](int32_t id) {
    if (static_cast<size_t>(id) >= text.size()) return -std::numeric_limits<float>::infinity();
    return static_cast<float>(static_cast<double>(text[static_cast<size_t>(id)]) - total);
  };
  SampledToken scored;
  scored.token = token;
  scored.logprob = logprob(token);
  const size_t wanted = std::min(static_cast<size_t>(std::max(best, 0)), text.size());
  if (wanted == 0) return scored;
  std::vector<int32_t> ids(text.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(wanted), ids.end(),
                    [&](int32_t a, int32_t b) {
                      const float la = text[static_cast<size_t>(a)],
                                  lb = text[static_cast<size_t>(b)];
                      return la != lb ? la > lb : a < b;
                    });
  for (size_t i = 0; i < wanted; ++i) scored.top_logprobs.push_back({ids[i], logprob(ids[i])});
  return scored;
}

}  // namespace headgate
