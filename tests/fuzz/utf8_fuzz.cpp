// Fuzzes the UTF-8 functions: whatever the bytes, they agree with each other.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string again;
  bool valid = true;
  for (size_t at = 0; at < text.size();) {
    const headgate::DecodedCodePoint decoded = headgate::decode_utf8(text, at);
    HEADGATE_CHECK(decoded.bytes >= 1 && at + static_cast<size_t>(decoded.bytes) <= text.size());
    headgate::append_utf8(again, decoded.code_point);
    valid = valid && decoded.valid;
    at += static_cast<size_t>(decoded.bytes);
  }
  const std::string replaced = headgate::replace_invalid_utf8(text);
  HEADGATE_CHECK(again == replaced);
  HEADGATE_CHECK(valid == headgate::is_valid_utf8(text));
  HEADGATE_CHECK(valid == (replaced == text));
  HEADGATE_CHECK(headgate::is_valid_utf8(replaced));
  const int left = headgate::incomplete_utf8_suffix(text);
  HEADGATE_CHECK(left >= 0 && left <= 3 && static_cast<size_t>(left) <= text.size());
  return 0;
}
