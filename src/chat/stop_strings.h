// Finds stop strings in a stream of text, across the borders of its pieces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate {

// Linear in the text for each pattern, whatever the patterns. Not thread-safe.
class StopStrings {
 public:
  // Empty patterns are ignored.
  explicit StopStrings(std::vector<std::string> patterns);

  struct Piece {
    std::string text;               // text that is certainly before any stop string
    std::optional<size_t> stopped;  // number of the pattern that was found
  };

  // Adds a piece. Text that may be the beginning of a stop string is held back. After a stop
  // everything is dropped. The stop string itself is not part of the text.
  Piece push(std::string_view piece);
  // The stream ends: what was held back.
  std::string finish();

  bool stopped() const { return stopped_.has_value(); }

 private:
  struct Pattern {
    std::string text;
    std::vector<size_t> fallback;  // Knuth-Morris-Pratt
    size_t matched = 0;
  };

  void advance(Pattern& pattern, char c) const;

  std::vector<Pattern> patterns_;
  std::string held_;
  std::optional<size_t> stopped_;
};

}  // namespace headgate
