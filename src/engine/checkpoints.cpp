// A geometric choice among places that mean something, and a ladder.
#include "engine/checkpoints.h"

#include <algorithm>

namespace headgate {
namespace {

// Turns usually diverge inside the generation prompt (a reasoning opener that history drops), and
// another answer to the same prompt needs the logits of its last token again.
constexpr int64_t kBeforeEnd = 8;
// A wanted place this close to the end serves as well.
constexpr int64_t kNearEnd = 32;
constexpr int64_t kShare = 4;  // of the distance to the end, between two places

}  // namespace

std::vector<int64_t> choose_checkpoints(int64_t prompt_tokens, std::vector<int64_t> wanted,
                                        int64_t every) {
  std::erase_if(wanted, [&](int64_t at) { return at <= 0 || at >= prompt_tokens; });
  std::sort(wanted.begin(), wanted.end());
  std::vector<int64_t> kept;
  if (wanted.empty() || wanted.back() < prompt_tokens - kNearEnd) {
    if (prompt_tokens > kBeforeEnd) kept.push_back(prompt_tokens - kBeforeEnd);
  }
  for (auto at = wanted.rbegin(); at != wanted.rend(); ++at) {
    if (kept.empty() || (kept.back() - *at) * kShare >= prompt_tokens - *at) kept.push_back(*at);
  }
  if (!wanted.empty()) kept.push_back(wanted.front());
  for (int64_t at = every; at < prompt_tokens; at += every) kept.push_back(at);
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

}  // namespace headgate
