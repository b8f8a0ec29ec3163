// Numbers and text formatted by a specification.
#include "chat/jinja_format_spec.h"

#include <algorithm>
#include <cmath>

#include "chat/jinja_text.h"

namespace headgate::jinja {
namespace {

std::string group_digits(const std::string& digits, char separator, size_t every) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string digits_in_base(Int value, int base, bool upper) {
  const char* symbols = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  using Unsigned = unsigned __int128;
  Unsigned rest =
      value < 0 ? Unsigned{0} - static_cast<Unsigned>(value) : static_cast<Unsigned>(value);
  std::string out;
  do {
    out.insert(out.begin(), symbols[static_cast<int>(rest % static_cast<Unsigned>(base))]);
    rest /= static_cast<Unsigned>(base);
  } while (rest != 0);
  return out;
}

}  // namespace

std::string assemble_number(Runtime& rt, const FormatSpec& spec, bool negative,
                            const std::string& prefix, const std::string& body) {
  std::string sign;
  if (negative) {
    sign = "-";
  } else if (spec.sign == '+' || spec.sign == ' ') {
    sign = std::string(1, spec.sign);
  }
  sign += prefix;
  if (spec.align == '=') {
    const int64_t rest = spec.width - static_cast<int64_t>(sign.size());
    return sign + pad_text(rt, body, rest, Align::kRight, spec.fill);
  }
  const Align align = spec.align == '<'   ? Align::kLeft
                      : spec.align == '^' ? Align::kCenter
                                          : Align::kRight;
  if (align != Align::kCenter) return pad_text(rt, sign + body, spec.width, align, spec.fill);
  // Unlike str.center, formats put the odd fill character to the right.
  const int64_t missing = spec.width - static_cast<int64_t>(sign.size() + body.size());
  if (missing <= 0) return sign + body;
  return repeat_text(rt, spec.fill, missing / 2) + sign + body +
         repeat_text(rt, spec.fill, missing - missing / 2);
}

std::string format_integer(Runtime& rt, Int value, const FormatSpec& spec) {
  std::string prefix;
  std::string digits;
  switch (spec.type) {
    case 'x':
    case 'X':
      digits = digits_in_base(value, 16, spec.type == 'X');
      if (spec.alternate) prefix = spec.type == 'x' ? "0x" : "0X";
      break;
    case 'o':
      digits = digits_in_base(value, 8, false);
      if (spec.alternate) prefix = "0o";
      break;
    case 'b':
      digits = digits_in_base(value, 2, false);
      if (spec.alternate) prefix = "0b";
      break;
    default:
      digits = digits_in_base(value, 10, false);
  }
  if (spec.grouping != 0) {
    const bool decimal = spec.type == 0 || spec.type == 'd' || spec.type == 'n';
    digits = group_digits(digits, spec.grouping, decimal ? 3 : 4);
  }
  return assemble_number(rt, spec, value < 0, prefix, digits);
}

std::string format_float(Runtime& rt, double value, const FormatSpec& spec) {
  const double magnitude = std::fabs(value);
  std::string body;
  if (!std::isfinite(value)) {
    body = std::isnan(value) ? "nan" : "inf";
    if (spec.type == 'F' || spec.type == 'E' || spec.type == 'G') {
      for (char& c : body) c = static_cast<char>(c - 'a' + 'A');
    }
    if (spec.type == '%') body += '%';
  } else if (spec.type == 0 && spec.precision < 0) {
    body = float_text(magnitude);
  } else {
    const int precision = spec.precision < 0 ? 6 : spec.precision;
    switch (spec.type) {
      case 'f':
      case 'F':
        body = fmt::format("{:.{}f}", magnitude, precision);
        break;
      case '%':
        body = fmt::format("{:.{}f}", magnitude * 100, precision) + '%';
        break;
      case 'e':
        body = fmt::format("{:.{}e}", magnitude, precision);
        break;
      case 'E':
        body = fmt::format("{:.{}E}", magnitude, precision);
        break;
      case 'G':
        body = fmt::format("{:.{}G}", magnitude, precision == 0 ? 1 : precision);
        break;
      default:
        body = fmt::format("{:.{}g}", magnitude, precision == 0 ? 1 : precision);
        // Without a type letter a float keeps at least one digit behind the point.
        if (spec.type == 0 && body.find_first_of(".e") == std::string::npos) body += ".0";
    }
  }
  if (spec.grouping != 0) {
    const size_t end = body.find_first_not_of("0123456789");
    const size_t whole = end == std::string::npos ? body.size() : end;
    body = group_digits(body.substr(0, whole), spec.grouping, 3) + body.substr(whole);
  }
  return assemble_number(rt, spec, std::signbit(value) && !std::isnan(value), "", body);
}

std::string format_text(Runtime& rt, const std::string& text, FormatSpec spec) {
  std::string body = text;
  if (spec.precision >= 0) {
    const Value whole = Value::string(text);
    const int64_t kept = std::min<int64_t>(spec.precision, whole.string_data().length);
    body = text.substr(0, byte_offset(whole.string_data(), kept));
  }
  const int64_t length = Value::string(body).string_data().length;
  const int64_t missing = spec.width - length;
  if (missing <= 0) return body;
  const int64_t left = spec.align == '>' ? missing : spec.align == '^' ? missing / 2 : 0;
  return repeat_text(rt, spec.fill, left) + body + repeat_text(rt, spec.fill, missing - left);
}

}  // namespace headgate::jinja
