// Python's two formatting languages.
#include "chat/jinja_format.h"

#include <cmath>
#include <optional>

#include "base/utf8.h"
#include "chat/jinja_text.h"

namespace headgate::jinja {
namespace {

// What stands between % or : and the conversion letter.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > = ^, 0: by type
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  int precision = -1;
  char grouping = 0;
  char type = 0;
};

constexpr int64_t kMaxWidth = 1'000'000;
constexpr int kMaxPrecision = 500;

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

// Puts sign and prefix before the digits and fills up to the width.
std::string assemble(Runtime& rt, const Spec& spec, bool negative, const std::string& prefix,
                     const std::string& body) {
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

std::string format_integer(Runtime& rt, Int value, const Spec& spec) {
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
  return assemble(rt, spec, value < 0, prefix, digits);
}

std::string format_float(Runtime& rt, double value, const Spec& spec) {
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
  return assemble(rt, spec, std::signbit(value) && !std::isnan(value), "", body);
}

std::string format_text(Runtime& rt, const std::string& text, Spec spec) {
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

// --- "%" ---

class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, const std::string& format, const Value& value)
      : rt_(rt), format_(format), value_(value) {}

  std::string run();

 private:
  const Value& next_argument();
  char peek() const {
    if (at_ >= format_.size()) rt_.error("incomplete format");
    return format_[at_];
  }
  int64_t read_number();
  Spec read_flags();
  std::string convert(Spec spec, const Value& argument);

  Runtime& rt_;
  const std::string& format_;
  const Value& value_;
  size_t at_ = 0;
  size_t used_ = 0;
  bool named_ = false;
};

const Value& PercentFormatter::next_argument() {
  if (value_.is(Kind::kTuple)) {
    if (used_ >= value_.items().size()) rt_.error("not enough arguments for format string");
    return value_.items()[used_++];
  }
  if (used_++ > 0) rt_.error("not enough arguments for format string");
  return value_;
}

int64_t PercentFormatter::read_number() {
  if (peek() == '*') {
    ++at_;
    const Value& argument = next_argument();
    if (!argument.is_integer()) rt_.error("* wants int");
    const Int number = argument.as_integer();
    if (number > kMaxWidth || number < -kMaxWidth) rt_.error("format width too large");
    return static_cast<int64_t>(number);
  }
  int64_t number = 0;
  while (at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9') {
    number = number * 10 + (format_[at_++] - '0');
    if (number > kMaxWidth) rt_.error("format width too large");
  }
  return number;
}

Spec PercentFormatter::read_flags() {
  Spec spec;
  spec.align = '>';
  bool zero = false;
  for (;; ++at_) {
    const char c = peek();
    if (c == '-') {
      spec.align = '<';
    } else if (c == '+') {
      spec.sign = '+';
    } else if (c == ' ') {
      if (spec.sign != '+') spec.sign = ' ';
    } else if (c == '#') {
      spec.alternate = true;
    } else if (c == '0') {
      zero = true;
    } else {
      break;
    }
  }
  spec.width = read_number();
  if (spec.width < 0) {
    spec.align = '<';
    spec.width = -spec.width;
  }
  if (zero && spec.align != '<') {
    spec.align = '=';
    spec.fill = "0";
  }
  if (peek() == '.') {
    ++at_;
    spec.precision = static_cast<int>(std::max<int64_t>(0, read_number()));
  }
  while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
  return spec;
}

std::string PercentFormatter::convert(Spec spec, const Value& argument) {
  const char type = spec.type;
  if (type == 's' || type == 'r' || type == 'a') {
    if (spec.align == '=') {
      spec.align = '>';
      spec.fill = " ";
    }
    return format_text(rt_, type == 's' ? to_text(rt_, argument) : to_repr(rt_, argument), spec);
  }
  if (type == 'c') {
    if (spec.align == '=') spec.fill = " ", spec.align = '>';
    if (argument.is_string() && argument.string_data().length == 1) {
      return format_text(rt_, argument.as_text(), spec);
    }
    if (!argument.is_integer() || argument.as_integer() < 0 || argument.as_integer() > 0x10ffff) {
      rt_.error("%c requires int or char");
    }
    std::string text;
    append_utf8(text, static_cast<char32_t>(argument.as_integer()));
    return format_text(rt_, text, spec);
  }
  if (!argument.is_number()) {
    rt_.error("%{} format: a number is required, not {}", type, type_name(argument));
  }
  if (spec.precision > kMaxPrecision) rt_.error("format precision too large");
  if (std::string_view("diuxXo").find(type) != std::string_view::npos) {
    if (argument.is(Kind::kFloat) && (type == 'x' || type == 'X' || type == 'o')) {
      rt_.error("%{} format: an integer is required, not float", type);
    }
    if (argument.is(Kind::kFloat) && !(std::fabs(argument.as_double()) < 1e38)) {
      rt_.error("cannot convert float to integer");
    }
    const Int number =
        argument.is(Kind::kFloat) ? static_cast<Int>(argument.as_double()) : argument.as_integer();
    if (type == 'i' || type == 'u') spec.type = 'd';
    if (spec.precision < 0) return format_integer(rt_, number, spec);
    Spec plain;
    plain.type = spec.type;
    plain.align = '=';
    plain.fill = "0";
    plain.width = spec.precision;
    return assemble(rt_, spec, number < 0, "",
                    format_integer(rt_, number < 0 ? -number : number, plain));
  }
  return format_float(rt_, argument.as_double(), spec);
}

std::string PercentFormatter::run() {
  std::string out;
  rt_.scan(format_.size());
  while (at_ < format_.size()) {
    const size_t percent = std::min(format_.find('%', at_), format_.size());
    out.append(format_, at_, percent - at_);
    at_ = percent;
    if (at_ == format_.size()) break;
    ++at_;
    rt_.step();
    rt_.check_growing(out.size());
    std::optional<Value> named;
    if (peek() == '(') {
      const size_t close = format_.find(')', at_);
      if (close == std::string::npos) rt_.error("incomplete format key");
      if (!value_.is(Kind::kDict)) rt_.error("format requires a mapping");
      const Value* found = value_.dict_data().find(format_.substr(at_ + 1, close - at_ - 1));
      if (found == nullptr) {
        rt_.error("format key '{}' is missing", format_.substr(at_ + 1, close - at_ - 1));
      }
      named = *found;
      named_ = true;
      at_ = close + 1;
    }
    Spec spec = read_flags();
    spec.type = peek();
    ++at_;
    if (spec.type == '%') {
      out += '%';
      continue;
    }
    if (std::string_view("sracdiuxXoeEfFgG").find(spec.type) == std::string_view::npos) {
      rt_.error("unsupported format character '{}'", spec.type);
    }
    out += convert(spec, named ? *named : next_argument());
  }
  // An argument with an index operator counts as a mapping, from which nothing need be used.
  const bool is_mapping = value_.is(Kind::kDict) || value_.is(Kind::kList) ||
                          value_.is(Kind::kRange) || value_.is_undefined();
  const bool all_used =
      value_.is(Kind::kTuple) ? used_ == value_.items().size() : used_ > 0 || named_ || is_mapping;
  if (!all_used) rt_.error("not all arguments converted during string formatting");
  rt_.produce(out.size());
  return out;
}

// --- "{}" ---

class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const Arguments& arguments) : rt_(rt), arguments_(arguments) {}

  std::string run(const std::string& format, int depth);

 private:
  Value field(const std::string& name);
  Value argument(const std::string& name);
  Spec parse_spec(const std::string& text);
  std::string render(const Value& value, const std::string& spec_text);

  Runtime& rt_;
  const Arguments& arguments_;
  int64_t automatic_ = 0;  // next automatic number; -1 once numbers were given
};

Value BraceFormatter::argument(const std::string& name) {
  Int number = 0;
  if (name.empty()) {
    if (automatic_ < 0) rt_.error("cannot switch from manual to automatic field numbering");
    number = automatic_++;
  } else if (name.find_first_not_of("0123456789") != std::string::npos) {
    for (const auto& [key, value] : arguments_.keyword) {
      if (key == name) return value;
    }
    rt_.error("format: no argument named '{}'", name);
  } else {
    if (automatic_ > 0) rt_.error("cannot switch from automatic to manual field numbering");
    automatic_ = -1;
    if (!parse_integer(name, 10, &number)) rt_.error("format: bad field number '{}'", name);
  }
  if (number >= static_cast<Int>(arguments_.positional.size())) {
    rt_.error("format: replacement index {} out of range", number);
  }
  return arguments_.positional[static_cast<size_t>(number)];
}

Value BraceFormatter::field(const std::string& name) {
  size_t at = std::min(name.find_first_of(".["), name.size());
  Value value = argument(name.substr(0, at));
  while (at < name.size()) {
    if (name[at] == '.') {
      const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
      if (end == at + 1) rt_.error("format: empty attribute");
      value = get_attribute(rt_, value, name.substr(at + 1, end - at - 1));
      at = end;
    } else {
      const size_t end = name.find(']', at);
      if (end == std::string::npos || end == at + 1) rt_.error("format: bad index");
      const std::string key = name.substr(at + 1, end - at - 1);
      Int number = 0;
      const bool is_number = key.find_first_not_of("0123456789") == std::string::npos &&
                             parse_integer(key, 10, &number);
      value = get_item(rt_, value, is_number ? Value::integer(number) : Value::string(key));
      at = end + 1;
      if (at < name.size() && name[at] != '.' && name[at] != '[') rt_.error("format: bad field");
    }
  }
  return value;
}

Spec BraceFormatter::parse_spec(const std::string& text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  if (!text.empty()) {
    const auto first = static_cast<size_t>(decode_utf8(text, 0).bytes);
    if (first < text.size() && is_align(text[first])) {
      spec.fill = text.substr(0, first);
      spec.align = text[first];
      at = first + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      at = 1;
    }
  }
  const auto have = [&](std::string_view set) {
    return at < text.size() && set.find(text[at]) != std::string_view::npos;
  };
  if (have("+- ")) spec.sign = text[at++];
  if (have("#")) spec.alternate = text[at++] == '#';
  if (have("0")) {
    ++at;
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
  }
  const auto number = [&] {
    int64_t n = 0;
    while (have("0123456789")) {
      n = n * 10 + (text[at++] - '0');
      if (n > kMaxWidth) rt_.error("format width too large");
    }
    return n;
  };
  spec.width = number();
  if (have(",_")) spec.grouping = text[at++];
  if (have(".")) {
    ++at;
    if (!have("0123456789")) rt_.error("format specifier missing precision");
    spec.precision = static_cast<int>(number());
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) rt_.error("invalid format specifier '{}'", text);
  return spec;
}

std::string BraceFormatter::render(const Value& value, const std::string& spec_text) {
  if (spec_text.empty()) return to_text(rt_, value);
  Spec spec = parse_spec(spec_text);
  if (value.is_string()) {
    if ((spec.type != 0 && spec.type != 's') || spec.grouping != 0 || spec.alternate ||
        spec.sign != '-') {
      rt_.error("invalid format specifier '{}' for a str", spec_text);
    }
    // A zero before the width fills text from the right.
    if (spec.align == '=') {
      if (spec_text[0] == '=' || spec_text.find('=') != std::string::npos) {
        rt_.error("'=' alignment not allowed in string format specifier");
      }
      spec.align = '<';
    }
    return format_text(rt_, value.as_text(), spec);
  }
  if (!value.is_number()) {
    rt_.error("unsupported format string passed to {}.__format__", type_name(value));
  }
  if (spec.precision > kMaxPrecision) rt_.error("format precision too large");
  const bool float_type = std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  if (value.is(Kind::kFloat) || (float_type && spec.type != 0)) {
    if (spec.type != 0 && !float_type) rt_.error("unknown format code '{}' for float", spec.type);
    return format_float(rt_, value.as_double(), spec);
  }
  if (spec.type != 0 && std::string_view("dxXobn").find(spec.type) == std::string_view::npos) {
    rt_.error("unknown format code '{}' for int", spec.type);
  }
  if (spec.precision >= 0) rt_.error("precision not allowed in integer format specifier");
  if (value.is(Kind::kBool) && spec.type == 0 && spec.width == 0) return to_text(rt_, value);
  return format_integer(rt_, value.as_integer(), spec);
}

std::string BraceFormatter::run(const std::string& format, int depth) {
  if (depth > 2) rt_.error("format: too many levels of nesting");
  std::string out;
  rt_.scan(format.size());
  for (size_t at = 0; at < format.size();) {
    const char c = format[at];
    if (c != '{' && c != '}') {
      out += c;
      ++at;
      continue;
    }
    if (at + 1 < format.size() && format[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    if (c == '}') rt_.error("single '}}' in format string");
    int open = 1;
    size_t end = at + 1;
    for (; end < format.size() && open > 0; ++end) {
      open += format[end] == '{' ? 1 : format[end] == '}' ? -1 : 0;
    }
    if (open > 0) rt_.error("expected '}}' before end of string");
    const std::string inner = format.substr(at + 1, end - at - 2);
    at = end;
    const size_t mark = std::min(inner.find_first_of("!:"), inner.size());
    Value value = field(inner.substr(0, mark));
    size_t spec_at = mark;
    if (mark < inner.size() && inner[mark] == '!') {
      const char conversion = mark + 1 < inner.size() ? inner[mark + 1] : '\0';
      if (conversion != 'r' && conversion != 's') rt_.error("format: unknown conversion");
      value = Value::string(conversion == 'r' ? to_repr(rt_, value) : to_text(rt_, value));
      spec_at = mark + 2;
      if (spec_at < inner.size() && inner[spec_at] != ':') rt_.error("format: expected ':'");
    }
    const std::string spec =
        spec_at < inner.size() ? run(inner.substr(spec_at + 1), depth + 1) : std::string();
    out += render(value, spec);
    rt_.check_growing(out.size());
  }
  return out;
}

}  // namespace

std::string format_percent(Runtime& rt, const std::string& format, const Value& value) {
  return PercentFormatter(rt, format, value).run();
}

std::string format_braces(Runtime& rt, const std::string& format, const Arguments& arguments) {
  std::string out = BraceFormatter(rt, arguments).run(format, 1);
  rt.produce(out.size());
  return out;
}

std::string escape_html(Runtime& rt, std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  rt.produce(out.size());
  return out;
}

std::string quote_url(Runtime& rt, std::string_view text, bool in_query) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && !in_query)) {
      out += c;
    } else if (c == ' ' && in_query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  rt.produce(out.size());
  return out;
}

}  // namespace headgate::jinja
