// Added tokens: strings that are found in the raw text and become single ids.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate {

// Finds added tokens, leftmost first and the longest of those that start together.
class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  // `tokens`: content and id, contents unique, not empty, at most kMaxAddedTokenBytes long.
  explicit AddedTokenFinder(std::vector<std::pair<std::string, int32_t>> tokens);

  struct Match {
    size_t begin, end;
    int32_t id;
  };
  // The first match that starts at or after `from`.
  std::optional<Match> find_next(std::string_view text, size_t from) const;
  // The id of the token with exactly this content, or -1.
  int32_t find(std::string_view content) const;
  bool empty() const { return tokens_.empty(); }

 private:
  std::optional<Match> longest_at(std::string_view text, size_t at) const;

  std::vector<std::pair<std::string, int32_t>> tokens_;  // ordered by content
  std::array<bool, 256> starts_{};
  int only_start_ = -1;  // the first byte all tokens share, or -1
};

}  // namespace headgate
