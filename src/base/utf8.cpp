// UTF-8 coding by the table of well-formed sequences (Unicode 16, table 3-7).
#include "base/utf8.h"

namespace headgate {
namespace {

struct LeadByte {
  int length;         // 0: not a lead byte
  uint8_t low, high;  // allowed range of the second byte
};

LeadByte classify(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

DecodedCodePoint decode_utf8(std::string_view text, size_t position) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = at(position);
  const LeadByte lead = classify(first);
  if (lead.length == 1) return {first, 1, true};
  if (lead.length == 0) return {0xfffd, 1, false};
  char32_t code_point = first & (0xff >> (lead.length + 1));
  for (int i = 1; i < lead.length; ++i) {
    if (position + i >= text.size()) return {0xfffd, i, false};
    const uint8_t byte = at(position + i);
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xbf;
    if (byte < low || byte > high) return {0xfffd, i, false};
    code_point = (code_point << 6) | (byte & 0x3f);
  }
  return {code_point, lead.length, true};
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    if (!d.valid) return false;
    i += static_cast<size_t>(d.bytes);
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    if (d.valid) {
      out.append(text.substr(i, static_cast<size_t>(d.bytes)));
    } else {
      append_utf8(out, 0xfffd);
    }
    i += static_cast<size_t>(d.bytes);
  }
  return out;
}

int incomplete_utf8_suffix(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t position = text.size() - back;
    const auto byte = static_cast<uint8_t>(text[position]);
    if ((byte & 0xc0) == 0x80) continue;
    const LeadByte lead = classify(byte);
    if (lead.length <= static_cast<int>(back)) return 0;
    const DecodedCodePoint d = decode_utf8(text, position);
    return !d.valid && d.bytes == static_cast<int>(back) ? static_cast<int>(back) : 0;
  }
  return 0;
}

}  // namespace headgate
