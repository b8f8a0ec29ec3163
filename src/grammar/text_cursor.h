// A place in a text that is read from left to right: what the parsers of patterns and grammars
// share.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/utf8.h"

namespace headgate {

class TextCursor {
 protected:
  explicit TextCursor(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }
  // The text is valid UTF-8 and does not end here.
  char32_t next_code_point() {
    const DecodedCodePoint decoded = decode_utf8(text_, at_);
    at_ += static_cast<size_t>(decoded.bytes);
    return decoded.code_point;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace headgate
