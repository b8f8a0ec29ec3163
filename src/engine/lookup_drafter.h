// Drafts from the text itself: what followed the last few tokens when they stood there before.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace headgate {

// Remembers where each run of three tokens was last seen. Quotes, edits and code repeat themselves
// for long stretches, and such drafts cost nothing. Source: prompt lookup decoding (Saxena 2023).
class LookupDrafter {
 public:
  // `text` is everything so far, prompt and output; runs that end in its new part are indexed.
  // A text that shares less than before with the last call's is indexed again from where it
  // differs.
  void update(std::span<const int32_t> text);
  // The text has grown by one token.
  void append(int32_t token);

  // At most `count` tokens that followed the latest earlier occurrence of the text's last tokens;
  // empty when they are new.
  std::vector<int32_t> draft(int64_t count) const;

 private:
  static constexpr int64_t kRun = 3;  // tokens that must match

  static uint64_t key(const int32_t* run);
  void index_run(int64_t end);  // the run that ends there

  std::vector<int32_t> text_;
  // Where the run's latest and next to latest occurrence end: the text's own end is one of them.
  struct Ends {
    int64_t latest = -1, before = -1;
  };
  std::unordered_map<uint64_t, Ends> ends_;
};

}  // namespace headgate
