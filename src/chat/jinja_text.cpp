// Searching, splitting, stripping and padding of text as Python does it.
#include "chat/jinja_text.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"
#include "chat/unicode_case.h"

namespace headgate::jinja {
namespace {

struct CodePointAt {
  char32_t value;
  size_t begin, end;
};

CodePointAt at(std::string_view text, size_t begin) {
  const DecodedCodePoint d = decode_utf8(text, begin);
  return {d.code_point, begin, begin + static_cast<size_t>(d.bytes)};
}

CodePointAt before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return at(text, begin);
}

std::vector<std::string_view> split_at_space(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  size_t i = 0;
  const auto skip = [&](bool space) {
    while (i < text.size() && is_space(at(text, i).value) == space) i = at(text, i).end;
  };
  skip(true);
  while (i < text.size()) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(text.substr(i));
      return parts;
    }
    const size_t begin = i;
    skip(false);
    parts.push_back(text.substr(begin, i - begin));
    skip(true);
  }
  return parts;
}

std::vector<std::string_view> split_at_space_from_right(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  size_t end = text.size();
  const auto skip = [&](bool space) {
    while (end > 0 && is_space(before(text, end).value) == space) end = before(text, end).begin;
  };
  skip(true);
  while (end > 0) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(text.substr(0, end));
      break;
    }
    const size_t stop = end;
    skip(false);
    parts.push_back(text.substr(end, stop - end));
    skip(true);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, const std::string& separator,
                                       int64_t limit) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t found = find_text(text, separator, begin);
    if (found == kNowhere) break;
    parts.push_back(text.substr(begin, found - begin));
    begin = found + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> split_at_from_right(std::string_view text,
                                                  const std::string& separator, int64_t limit) {
  // Mirrored: finding from the left in the reversed text keeps the time linear.
  const std::string mirrored(text.rbegin(), text.rend());
  const std::string mirrored_separator(separator.rbegin(), separator.rend());
  std::vector<std::string_view> parts = split_at(mirrored, mirrored_separator, limit);
  for (std::string_view& part : parts) {
    const size_t begin = static_cast<size_t>(part.data() - mirrored.data());
    part = text.substr(text.size() - begin - part.size(), part.size());
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return kNowhere;
  if (needle.empty()) return from;
  // glibc's memmem is two-way: linear on every input, unlike std::string::find.
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (found == nullptr) return kNowhere;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t find_last_text(std::string_view text, std::string_view needle) {
  const std::string mirrored(text.rbegin(), text.rend());
  const std::string mirrored_needle(needle.rbegin(), needle.rend());
  const size_t found = find_text(mirrored, mirrored_needle);
  return found == kNowhere ? kNowhere : text.size() - found - needle.size();
}

size_t byte_offset(const StringData& text, int64_t code_point) {
  if (text.length == static_cast<int64_t>(text.text.size())) return static_cast<size_t>(code_point);
  size_t i = 0;
  for (int64_t n = 0; n < code_point; ++n) {
    ++i;
    while (i < text.text.size() && (static_cast<unsigned char>(text.text[i]) & 0xc0) == 0x80) ++i;
  }
  return i;
}

std::string_view strip_text(std::string_view text, Side side, const std::string* characters) {
  std::vector<char32_t> set;  // sorted, so that a long set does not make this quadratic
  if (characters != nullptr) {
    for (size_t i = 0; i < characters->size(); i = at(*characters, i).end) {
      set.push_back(at(*characters, i).value);
    }
    std::sort(set.begin(), set.end());
  }
  const auto strips = [&](const CodePointAt& c) {
    if (characters == nullptr) return is_space(c.value);
    return std::binary_search(set.begin(), set.end(), c.value);
  };
  size_t begin = 0;
  size_t end = text.size();
  if (side != Side::kRight) {
    while (begin < end && strips(at(text, begin))) begin = at(text, begin).end;
  }
  if (side != Side::kLeft) {
    while (end > begin && strips(before(text, end))) end = before(text, end).begin;
  }
  return text.substr(begin, end - begin);
}

std::vector<std::string_view> split_text(Runtime& rt, std::string_view text,
                                         const std::string* separator, int64_t limit,
                                         bool from_right) {
  rt.scan(text.size());
  std::vector<std::string_view> parts;
  if (separator == nullptr) {
    parts = from_right ? split_at_space_from_right(text, limit) : split_at_space(text, limit);
  } else {
    if (separator->empty()) rt.error("empty separator");
    parts = from_right ? split_at_from_right(text, *separator, limit)
                       : split_at(text, *separator, limit);
  }
  rt.produce_items(parts.size());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePointAt c = at(text, i);
    size_t next = c.end;
    if (is_line_end(c.value)) {
      if (c.value == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.push_back(text.substr(begin, (keep_ends ? next : i) - begin));
      begin = next;
    }
    i = next;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace_text(Runtime& rt, std::string_view text, std::string_view from,
                         std::string_view to, int64_t limit) {
  std::string out;
  rt.scan(text.size());
  size_t i = 0;
  for (int64_t n = 0; limit < 0 || n < limit; ++n) {
    const size_t found = find_text(text, from, i);
    if (found == kNowhere) break;
    out.append(text.substr(i, found - i)).append(to);
    i = found + from.size();
    if (from.empty()) {
      // An empty pattern matches before every character and at the end.
      if (i >= text.size()) {
        i = text.size() + 1;
        break;
      }
      const size_t next = at(text, i).end;
      out.append(text.substr(i, next - i));
      i = next;
    }
    rt.check_growing(out.size());
  }
  if (i < text.size()) out.append(text.substr(i));
  rt.produce(out.size());
  return out;
}

std::string join_text(Runtime& rt, std::string_view separator,
                      const std::vector<std::string>& parts) {
  size_t bytes = parts.empty() ? 0 : separator.size() * (parts.size() - 1);
  for (const std::string& part : parts) bytes += part.size();
  rt.produce(bytes);
  std::string out;
  out.reserve(bytes);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string repeat_text(Runtime& rt, std::string_view text, Int count) {
  if (count <= 0 || text.empty()) return {};
  if (count > rt.limits().output_bytes / static_cast<int64_t>(text.size())) {
    rt.out_of("bytes in one text", rt.limits().output_bytes);
  }
  rt.produce(text.size() * static_cast<size_t>(count));
  std::string out;
  out.reserve(text.size() * static_cast<size_t>(count));
  for (Int i = 0; i < count; ++i) out += text;
  return out;
}

std::string capitalize_text(std::string_view text) {
  if (text.empty()) return {};
  const CodePointAt first = at(text, 0);
  // The tail is lowered together with the head, so that a final sigma sees its word.
  const std::string lowered = to_lower(text);
  const size_t lowered_head = to_lower(text.substr(0, first.end)).size();
  return to_title(first.value) + lowered.substr(lowered_head);
}

std::string title_text(std::string_view text) {
  std::string out;
  const std::string lowered = to_lower(text);
  bool in_word = false;
  size_t low = 0;  // where the lower form of the current character begins
  for (size_t i = 0; i < text.size();) {
    const CodePointAt c = at(text, i);
    size_t low_bytes = to_lower(text.substr(c.begin, c.end - c.begin)).size();
    out += in_word ? lowered.substr(low, low_bytes) : to_title(c.value);
    in_word = is_cased(c.value);
    low += low_bytes;
    i = c.end;
  }
  return out;
}

std::string swapcase_text(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const CodePointAt c = at(text, i);
    const std::string_view one = text.substr(c.begin, c.end - c.begin);
    out += is_upper(c.value) ? to_lower(one) : is_lower(c.value) ? to_upper(one) : std::string(one);
    i = c.end;
  }
  return out;
}

bool has_only_case(std::string_view text, bool upper) {
  bool any = false;
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    if (is_title(d.code_point) || (upper ? is_lower(d.code_point) : is_upper(d.code_point))) {
      return false;
    }
    any = any || (upper ? is_upper(d.code_point) : is_lower(d.code_point));
    i += static_cast<size_t>(d.bytes);
  }
  return any;
}

std::string pad_text(Runtime& rt, const std::string& text, int64_t width, Align align,
                     const std::string& fill) {
  int64_t length = 0;
  for (const char c : text) length += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  const int64_t missing = width - length;
  if (missing <= 0) return text;
  int64_t left = 0;
  if (align == Align::kRight) left = missing;
  // Python's center puts the odd space to the left only when the width is odd, too.
  if (align == Align::kCenter) left = missing / 2 + (missing & width & 1);
  return repeat_text(rt, fill, left) + text + repeat_text(rt, fill, missing - left);
}

}  // namespace headgate::jinja
