// Numbers as text, both ways, as Python's int(), float(), round() and str() treat them.
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/json.h"
#include "chat/jinja_text.h"

namespace headgate::jinja {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// Base from a prefix like 0x, which is cut off; 0 when the prefix contradicts the base.
int cut_base_prefix(std::string_view* text, int base) {
  int prefix = 0;
  if (text->size() > 1 && (*text)[0] == '0') {
    const char mark = (*text)[1];
    prefix = mark == 'x' || mark == 'X'   ? 16
             : mark == 'o' || mark == 'O' ? 8
             : mark == 'b' || mark == 'B' ? 2
                                          : 0;
  }
  if (prefix != 0 && (base == 0 || base == prefix)) {
    text->remove_prefix(2);
    if (!text->empty() && text->front() == '_') text->remove_prefix(1);
    return prefix;
  }
  if (base == 0) {
    // "007" is no number when the base is to be guessed.
    if (text->size() > 1 && text->front() == '0' &&
        text->find_first_not_of("0_") != std::string_view::npos) {
      return -1;
    }
    return 10;
  }
  return base;
}

}  // namespace

bool parse_integer(std::string_view text, int base, Int* value) {
  text = strip_text(text, Side::kBoth, nullptr);
  bool negative = false;
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  base = cut_base_prefix(&text, base);
  if (base < 2 || base > 36 || text.empty()) return false;
  Int result = 0;
  bool after_digit = false;
  for (const char c : text) {
    if (c == '_') {
      if (!after_digit) return false;
      after_digit = false;
      continue;
    }
    const int digit = digit_value(c);
    if (digit >= base) return false;
    if (__builtin_mul_overflow(result, static_cast<Int>(base), &result) ||
        __builtin_add_overflow(result, static_cast<Int>(digit), &result)) {
      return false;
    }
    after_digit = true;
  }
  if (!after_digit) return false;
  *value = negative ? -result : result;
  return true;
}

bool parse_float(std::string_view text, double* value) {
  text = strip_text(text, Side::kBoth, nullptr);
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_') {
      const bool between = i > 0 && i + 1 < text.size() && digit_value(text[i - 1]) < 10 &&
                           digit_value(text[i + 1]) < 10;
      if (!between) return false;
      continue;
    }
    plain += c;
  }
  const char* begin = plain.data();
  const char* end = begin + plain.size();
  bool negative = false;
  if (begin != end && (*begin == '+' || *begin == '-')) negative = *begin++ == '-';
  if (begin != end && (*begin == '+' || *begin == '-')) return false;
  double result = 0;
  const auto parsed = std::from_chars(begin, end, result);
  if (begin == end || parsed.ptr != end) return false;
  // from_chars reads "nan(...)", Python does not.
  if (std::isnan(result) && end - begin != 3) return false;
  if (parsed.ec == std::errc::result_out_of_range) result = std::strtod(plain.c_str(), nullptr);
  *value = negative && parsed.ec == std::errc() ? -result : result;
  return true;
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return python_float(value);
}

double round_float(double value, int digits) {
  if (!std::isfinite(value) || digits > 330) return value;
  if (digits < -330) return std::copysign(0.0, value);
  if (digits >= 0) {
    // Printing rounds the exact binary value half to even, as Python does.
    return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  }
  const double power = std::pow(10.0, -digits);
  return std::nearbyint(value / power) * power;
}

}  // namespace headgate::jinja
