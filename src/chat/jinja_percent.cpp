// Python's "%" operator on text.
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/utf8.h"
#include "chat/jinja_format.h"
#include "chat/jinja_format_spec.h"

namespace headgate::jinja {
namespace {

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
  FormatSpec read_flags();
  std::string convert(FormatSpec spec, const Value& argument);

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

FormatSpec PercentFormatter::read_flags() {
  FormatSpec spec;
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

std::string PercentFormatter::convert(FormatSpec spec, const Value& argument) {
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
    FormatSpec plain;
    plain.type = spec.type;
    plain.align = '=';
    plain.fill = "0";
    plain.width = spec.precision;
    return assemble_number(rt_, spec, number < 0, "",
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
    FormatSpec spec = read_flags();
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

}  // namespace

std::string format_percent(Runtime& rt, const std::string& format, const Value& value) {
  return PercentFormatter(rt, format, value).run();
}

}  // namespace headgate::jinja
