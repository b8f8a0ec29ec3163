// The methods of str.
#include <algorithm>
#include <map>

#include "base/utf8.h"
#include "chat/jinja_bind.h"
#include "chat/jinja_format.h"
#include "chat/jinja_methods.h"
#include "chat/jinja_text.h"
#include "chat/unicode_case.h"

namespace headgate::jinja {
namespace {

Value same_safety(const Value& self, std::string text) {
  return Value::string(std::move(text), self.string_data().safe);
}

template <std::string (*F)(std::string_view)>
Value mapped(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "str method", arguments, {});
  std::string text = F(self.as_text());
  rt.produce(text.size());
  return same_safety(self, std::move(text));
}

template <Side kSide>
Value strip(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "strip", arguments, {"chars"}, 0, 1);
  rt.scan(self.as_text().size());
  const std::string* characters = bound.has_value(0) ? &bound.text(0) : nullptr;
  return same_safety(self, std::string(strip_text(self.as_text(), kSide, characters)));
}

template <bool kFromRight>
Value split(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "split", arguments, {"sep", "maxsplit"});
  const std::string* separator = bound.has_value(0) ? &bound.text(0) : nullptr;
  const int64_t limit = clamp_integer(bound.integer(1, -1));
  std::vector<Value> items;
  for (const std::string_view part : split_text(rt, self.as_text(), separator, limit, kFromRight)) {
    items.push_back(same_safety(self, std::string(part)));
  }
  return Value::list(rt, std::move(items));
}

Value splitlines(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "splitlines", arguments, {"keepends"});
  rt.scan(self.as_text().size());
  std::vector<Value> items;
  for (const std::string_view line : split_lines(self.as_text(), bound.truth(0, false))) {
    items.push_back(same_safety(self, std::string(line)));
  }
  return Value::list(rt, std::move(items));
}

template <bool kFromRight>
Value partition(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "partition", arguments, {"sep"}, 1, 1);
  const std::string& text = self.as_text();
  const std::string& separator = bound.text(0);
  if (separator.empty()) rt.error("empty separator");
  rt.scan(text.size());
  const size_t at = kFromRight ? find_last_text(text, separator) : find_text(text, separator);
  std::vector<Value> parts;
  if (at == kNowhere) {
    parts = {Value::string(""), Value::string(""), Value::string("")};
    parts[kFromRight ? 2 : 0] = self;
  } else {
    parts = {same_safety(self, text.substr(0, at)), same_safety(self, separator),
             same_safety(self, text.substr(at + separator.size()))};
  }
  return Value::tuple(rt, std::move(parts));
}

// The part [start, end) in code points of `self`, as find, count, startswith take it.
// False when start is behind the end: then nothing is found, not even "".
bool part_of(Runtime& rt, const Value& self, const Bound& bound, std::string_view* part,
             int64_t* first) {
  const StringData& text = self.string_data();
  const auto clamp = [&](size_t i, int64_t fallback) {
    if (!bound.has_value(i)) return fallback;
    int64_t n = clamp_integer(bound.integer(i, 0));
    if (n < 0) n = std::max<int64_t>(0, n + text.length);
    return n;
  };
  const int64_t begin = clamp(1, 0);
  const int64_t end = std::min(clamp(2, text.length), text.length);
  rt.scan(text.text.size());
  if (begin > end) return false;
  const size_t from = byte_offset(text, begin);
  *part = std::string_view(text.text).substr(from, byte_offset(text, end) - from);
  *first = begin;
  return true;
}

template <bool kLast, bool kMustFind>
Value find(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "find", arguments, {"sub", "start", "end"}, 1, 3);
  std::string_view part;
  int64_t first = 0;
  const std::string& needle = bound.text(0);
  size_t at = kNowhere;
  if (part_of(rt, self, bound, &part, &first)) {
    at = kLast ? find_last_text(part, needle) : find_text(part, needle);
  }
  if (at == kNowhere) {
    if (kMustFind) rt.error("substring not found");
    return Value::integer(-1);
  }
  const auto head = part.substr(0, at);
  return Value::integer(first + std::count_if(head.begin(), head.end(), [](char c) {
                          return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
                        }));
}

Value count(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "count", arguments, {"sub", "start", "end"}, 1, 3);
  std::string_view part;
  int64_t first = 0;
  const std::string& needle = bound.text(0);
  if (!part_of(rt, self, bound, &part, &first)) return Value::integer(0);
  if (needle.empty()) {
    return Value::integer(1 + std::count_if(part.begin(), part.end(), [](char c) {
                            return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
                          }));
  }
  int64_t found = 0;
  for (size_t at = find_text(part, needle); at != kNowhere;
       at = find_text(part, needle, at + needle.size())) {
    ++found;
  }
  return Value::integer(found);
}

template <bool kAtEnd>
Value starts_or_ends(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, kAtEnd ? "endswith" : "startswith", arguments, {"prefix", "start", "end"},
                    1, 3);
  std::string_view part;
  int64_t first = 0;
  const bool valid = part_of(rt, self, bound, &part, &first);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string()) {
      rt.error("{} first arg must be str or a tuple of str, not {}",
               kAtEnd ? "endswith" : "startswith", type_name(affix));
    }
    const std::string& text = affix.as_text();
    if (!valid || text.size() > part.size()) return false;
    return part.substr(kAtEnd ? part.size() - text.size() : 0, text.size()) == text;
  };
  if (!bound.get(0).is(Kind::kTuple)) return Value::boolean(matches(bound.get(0)));
  const std::vector<Value>& affixes = bound.get(0).items();
  return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
}

Value replace(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "replace", arguments, {"old", "new", "count"}, 2, 3);
  return same_safety(self, replace_text(rt, self.as_text(), bound.text(0), bound.text(1),
                                        clamp_integer(bound.integer(2, -1))));
}

Value join(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "join", arguments, {"iterable"}, 1, 1);
  std::vector<std::string> parts;
  for (const Value& item : iterate(rt, bound.get(0))) {
    if (!item.is_string()) {
      rt.error("sequence item {}: expected str instance, {} found", parts.size(), type_name(item));
    }
    parts.push_back(item.as_text());
  }
  return same_safety(self, join_text(rt, self.as_text(), parts));
}

Value format(Runtime& rt, const Value& self, const Arguments& arguments) {
  return same_safety(self, format_braces(rt, self.as_text(), arguments));
}

template <bool kSuffix>
Value remove_affix(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "removeprefix", arguments, {"affix"}, 1, 1);
  const std::string& text = self.as_text();
  const std::string& affix = bound.text(0);
  if (affix.size() > text.size()) return self;
  const size_t at = kSuffix ? text.size() - affix.size() : 0;
  if (text.compare(at, affix.size(), affix) != 0) return self;
  return same_safety(self, kSuffix ? text.substr(0, at) : text.substr(affix.size()));
}

template <Align kAlign>
Value pad(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "ljust", arguments, {"width", "fillchar"}, 1, 2);
  const std::string fill = bound.text(1, " ");
  if (Value::string(fill).string_data().length != 1) {
    rt.error("the fill character must be exactly one character long");
  }
  return same_safety(
      self, pad_text(rt, self.as_text(), clamp_integer(bound.integer(0, 0)), kAlign, fill));
}

Value zfill(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "zfill", arguments, {"width"}, 1, 1);
  std::string text = self.as_text();
  const int64_t width = clamp_integer(bound.integer(0, 0));
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  const std::string sign = has_sign ? text.substr(0, 1) : "";
  if (has_sign) text.erase(0, 1);
  return same_safety(self, sign + pad_text(rt, text, width - static_cast<int64_t>(sign.size()),
                                           Align::kRight, "0"));
}

Value expandtabs(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "expandtabs", arguments, {"tabsize"});
  const Int size = bound.integer(0, 8);
  std::string out;
  int64_t column = 0;
  for (const char c : self.as_text()) {
    if (c == '\t') {
      const int64_t spaces = size > 0 ? clamp_integer(size - column % size) : 0;
      out += repeat_text(rt, " ", spaces);
      column += spaces;
    } else {
      out += c;
      column =
          c == '\n' || c == '\r' ? 0 : column + ((static_cast<unsigned char>(c) & 0xc0) != 0x80);
    }
    rt.check_growing(out.size());
  }
  rt.produce(out.size());
  return same_safety(self, std::move(out));
}

// True when the text has characters and all of them satisfy F.
template <bool (*F)(char32_t)>
Value all_are(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "str method", arguments, {});
  const std::string& text = self.as_text();
  rt.scan(text.size() * 4);
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    if (!F(d.code_point)) return Value::boolean(false);
    i += static_cast<size_t>(d.bytes);
  }
  return Value::boolean(!text.empty());
}

Value is_ascii(Runtime&, const Value& self, const Arguments&) {
  return Value::boolean(self.string_data().length == static_cast<int64_t>(self.as_text().size()));
}

bool is_identifier_part(char32_t c) { return c == '_' || is_alnum(c); }

Value is_identifier(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Value parts = all_are<is_identifier_part>(rt, self, arguments);
  const char32_t first = self.as_text().empty() ? U'0' : decode_utf8(self.as_text(), 0).code_point;
  return Value::boolean(parts.as_bool() && (first == '_' || is_alpha(first)));
}

// islower(), isupper(): some cased letter, and none of the other case
template <bool kUpper>
Value is_case(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "str method", arguments, {});
  return Value::boolean(has_only_case(self.as_text(), kUpper));
}

Value is_title_text(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "istitle", arguments, {});
  const std::string& text = self.as_text();
  bool any = false;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    const bool starts = is_upper(d.code_point) || is_title(d.code_point);
    if (starts && in_word) return Value::boolean(false);
    if (is_lower(d.code_point) && !in_word) return Value::boolean(false);
    in_word = is_cased(d.code_point);
    any = any || in_word;
    i += static_cast<size_t>(d.bytes);
  }
  return Value::boolean(any);
}

}  // namespace

Method find_string_method(std::string_view name) {
  static const std::map<std::string_view, Method> kMethods = {
      {"capitalize", mapped<capitalize_text>},
      {"casefold", mapped<to_lower>},
      {"center", pad<Align::kCenter>},
      {"count", count},
      {"endswith", starts_or_ends<true>},
      {"expandtabs", expandtabs},
      {"find", find<false, false>},
      {"format", format},
      {"index", find<false, true>},
      {"isalnum", all_are<is_alnum>},
      {"isalpha", all_are<is_alpha>},
      {"isascii", is_ascii},
      {"isdecimal", all_are<is_decimal>},
      {"isdigit", all_are<is_digit>},
      {"isidentifier", is_identifier},
      {"islower", is_case<false>},
      {"isnumeric", all_are<is_numeric>},
      {"isspace", all_are<is_space>},
      {"istitle", is_title_text},
      {"isupper", is_case<true>},
      {"join", join},
      {"ljust", pad<Align::kLeft>},
      {"lower", mapped<to_lower>},
      {"lstrip", strip<Side::kLeft>},
      {"partition", partition<false>},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"replace", replace},
      {"rfind", find<true, false>},
      {"rindex", find<true, true>},
      {"rjust", pad<Align::kRight>},
      {"rpartition", partition<true>},
      {"rsplit", split<true>},
      {"rstrip", strip<Side::kRight>},
      {"split", split<false>},
      {"splitlines", splitlines},
      {"startswith", starts_or_ends<false>},
      {"strip", strip<Side::kBoth>},
      {"swapcase", mapped<swapcase_text>},
      {"title", mapped<title_text>},
      {"upper", mapped<to_upper>},
      {"zfill", zfill},
  };
  const auto found = kMethods.find(name);
  return found == kMethods.end() ? nullptr : found->second;
}

}  // namespace headgate::jinja
