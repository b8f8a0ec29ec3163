// UTF-8: validation, decoding and encoding of single code points.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

struct DecodedCodePoint {
  char32_t code_point;  // U+FFFD when invalid
  int bytes;            // bytes consumed, at least 1 (of an invalid part: its maximal subpart)
  bool valid;
};

// Decodes the code point at text[position]; position < text.size(). Overlong forms, surrogates and
// values above U+10FFFF are invalid. A truncated sequence at the end is invalid with bytes = what
// is left of it.
DecodedCodePoint decode_utf8(std::string_view text, size_t position);

// Appends the UTF-8 form of `code_point` (a Unicode scalar value).
void append_utf8(std::string& out, char32_t code_point);

bool is_valid_utf8(std::string_view text);

// Replaces every maximal invalid part by U+FFFD (Unicode 16, section 3.9; same as Rust and WHATWG).
std::string replace_invalid_utf8(std::string_view text);

// Number of bytes at the end of `text` that may still become a valid character: 0..3.
int incomplete_utf8_suffix(std::string_view text);

}  // namespace headgate
