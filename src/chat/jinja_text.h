// Python's str methods on UTF-8 text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja_value.h"

namespace headgate::jinja {

constexpr size_t kNowhere = std::string_view::npos;

// Byte position of `needle` at or after `from`, in time linear in the text.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);
// Byte position of the last occurrence, linear as well.
size_t find_last_text(std::string_view text, std::string_view needle);

// Byte offset of the code point with this number, 0 <= number <= length.
size_t byte_offset(const StringData& text, int64_t code_point);

enum class Side { kBoth, kLeft, kRight };
// strip(): white space, or the characters in `characters` when given.
std::string_view strip_text(std::string_view text, Side side, const std::string* characters);

// split() and rsplit(): at white space without a separator; at most `limit` cuts when >= 0.
std::vector<std::string_view> split_text(Runtime& rt, std::string_view text,
                                         const std::string* separator, int64_t limit,
                                         bool from_right);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
std::string replace_text(Runtime& rt, std::string_view text, std::string_view from,
                         std::string_view to, int64_t limit);
std::string join_text(Runtime& rt, std::string_view separator,
                      const std::vector<std::string>& parts);
std::string repeat_text(Runtime& rt, std::string_view text, Int count);
std::string capitalize_text(std::string_view text);
// str.title(): every run of letters starts with an upper case one
std::string title_text(std::string_view text);
std::string swapcase_text(std::string_view text);
// islower() and isupper(): some cased letter, and none of the other case
bool has_only_case(std::string_view text, bool upper);

// Spaces (or `fill`) around text up to `width` code points.
enum class Align { kLeft, kRight, kCenter };
std::string pad_text(Runtime& rt, const std::string& text, int64_t width, Align align,
                     const std::string& fill);

// Text -> number as int() and float() read it; false when it is none.
bool parse_integer(std::string_view text, int base, Int* value);
bool parse_float(std::string_view text, double* value);

// str() of a float: Python's repr, "nan", "inf"
std::string float_text(double value);
// round(value, digits): half to even on the exact binary value
double round_float(double value, int digits);

}  // namespace headgate::jinja
