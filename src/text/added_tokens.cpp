// Search in an ordered list: the candidates that share the text's prefix are a shrinking range.
#include "text/added_tokens.h"

#include <algorithm>

namespace headgate {

AddedTokenFinder::AddedTokenFinder(std::vector<std::pair<std::string, int32_t>> tokens)
    : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end());
  int different = 0;
  for (const auto& token : tokens_) {
    const auto first = static_cast<uint8_t>(token.first[0]);
    if (!starts_[first]) ++different;
    starts_[first] = true;
    only_start_ = first;
  }
  if (different != 1) only_start_ = -1;
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::longest_at(std::string_view text,
                                                                    size_t at) const {
  std::optional<Match> best;
  auto low = tokens_.begin();
  auto high = tokens_.end();
  for (size_t depth = 0; at + depth < text.size() && low != high; ++depth) {
    // All of [low, high) share `depth` bytes with the text; those that end there sort first.
    const auto byte_at = [depth](const std::string& content) {
      return depth < content.size() ? static_cast<uint8_t>(content[depth]) : -1;
    };
    const int wanted = static_cast<uint8_t>(text[at + depth]);
    low = std::lower_bound(low, high, wanted, [&](const auto& token, int byte) {
      return byte_at(token.first) < byte;
    });
    high = std::upper_bound(low, high, wanted, [&](int byte, const auto& token) {
      return byte < byte_at(token.first);
    });
    if (low != high && low->first.size() == depth + 1) {
      best = Match{at, at + depth + 1, low->second};
    }
  }
  return best;
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::find_next(std::string_view text,
                                                                   size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (size_t at = from; at < text.size(); ++at) {
    if (only_start_ >= 0) {
      at = text.find(static_cast<char>(only_start_), at);
      if (at == std::string_view::npos) break;
    } else if (!starts_[static_cast<uint8_t>(text[at])]) {
      continue;
    }
    if (const auto match = longest_at(text, at)) return match;
  }
  return std::nullopt;
}

int32_t AddedTokenFinder::find(std::string_view content) const {
  const auto token = std::lower_bound(
      tokens_.begin(), tokens_.end(), content,
      [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
  return token != tokens_.end() && token->first == content ? token->second : -1;
}

}  // namespace headgate
