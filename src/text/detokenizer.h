// Token ids to text, one at a time, in whole characters.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace headgate {

// Turns a stream of ids into text. A character whose bytes are not complete yet (at most 3 of them)
// is held back; bytes that can no longer become a character turn into U+FFFD, one for each maximal
// invalid part. The pieces concatenated equal Tokenizer::decode of all ids. Any ids are allowed.
// Thread rule: one thread at a time. The tokenizer must outlive it.
class IncrementalDetokenizer {
 public:
  explicit IncrementalDetokenizer(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // The text that this id releases, possibly empty.
  std::string push(int32_t id);
  // The rest at the end of the stream: the held-back bytes as U+FFFD. Then starts afresh.
  std::string flush();
  // Bytes held back at the moment, 0..3.
  int held_bytes() const { return static_cast<int>(pending_.size()); }

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace headgate
