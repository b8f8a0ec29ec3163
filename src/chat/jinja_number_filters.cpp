// Filters on numbers, and the look-up over all filters.
#include <algorithm>
#include <cmath>
#include <map>

#include "chat/jinja_bind.h"
#include "chat/jinja_filters.h"
#include "chat/jinja_text.h"

namespace headgate::jinja {
namespace {

constexpr double kIntegerLimit = 1.7e38;  // 2^127

bool float_to_integer(double number, Int* out) {
  if (!std::isfinite(number) || std::fabs(number) >= kIntegerLimit) return false;
  *out = static_cast<Int>(number);
  return true;
}

Value to_integer(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "int", arguments, {"default", "base"});
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  Int result = 0;
  if (value.is_integer()) return Value::integer(value.as_integer());
  if (value.is(Kind::kFloat)) {
    if (std::isinf(value.as_double())) rt.error("cannot convert float infinity to integer");
    if (float_to_integer(value.as_double(), &result)) return Value::integer(result);
    return bound.value(0, Value::integer(0));
  }
  if (value.is_string()) {
    const Int base = bound.integer(1, 10);
    double number = 0;
    if (base >= 0 && base <= 36 && base != 1 &&
        parse_integer(value.as_text(), static_cast<int>(base), &result)) {
      return Value::integer(result);
    }
    if (parse_float(value.as_text(), &number) && float_to_integer(number, &result)) {
      return Value::integer(result);
    }
  }
  return bound.value(0, Value::integer(0));
}

Value to_float(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "float", arguments, {"default"});
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  if (value.is_number()) return Value::number(value.as_double());
  double number = 0;
  if (value.is_string() && parse_float(value.as_text(), &number)) return Value::number(number);
  return bound.value(0, Value::number(0.0));
}

Value absolute(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "abs", arguments, {});
  if (value.is(Kind::kFloat)) return Value::number(std::fabs(value.as_double()));
  if (!value.is_integer()) rt.error("bad operand type for abs(): '{}'", type_name(value));
  return negate(rt, value, value.as_integer() < 0);
}

// round(int, digits): only negative digits change it, half to even.
Value round_integer(Runtime& rt, Int value, Int digits) {
  if (digits >= 0) return Value::integer(value);
  if (digits < -37) return Value::integer(0);
  const Int power = arithmetic(rt, "**", Value::integer(10), Value::integer(-digits)).as_integer();
  const Int rest = ((value % power) + power) % power;
  Int low = value - rest;
  if (rest * 2 > power || (rest * 2 == power && (low / power) % 2 != 0)) low += power;
  return Value::integer(low);
}

Value round(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "round", arguments, {"precision", "method"});
  const std::string method = bound.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor") {
    rt.error("method must be common, ceil or floor");
  }
  if (!value.is_number()) rt.error("round: '{}' is not a number", type_name(value));
  const Int digits = bound.integer(0, 0);
  if (method == "common") {
    if (value.is_integer()) return round_integer(rt, value.as_integer(), digits);
    return Value::number(
        round_float(value.as_double(), static_cast<int>(std::clamp<Int>(digits, -400, 400))));
  }
  const Value power = arithmetic(rt, "**", Value::integer(10), Value::integer(digits));
  const Value scaled = arithmetic(rt, "*", value, power);
  Int whole = 0;
  if (scaled.is_integer()) {
    whole = scaled.as_integer();
  } else {
    const double d = scaled.as_double();
    if (!float_to_integer(method == "ceil" ? std::ceil(d) : std::floor(d), &whole)) {
      rt.error("round: cannot convert float to integer");
    }
  }
  return arithmetic(rt, "/", Value::integer(whole), power);
}

Value sum(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "sum", arguments, {"attribute", "start"});
  Value total = bound.value(1, Value::integer(0));
  if (total.is_string()) rt.error("sum() can't sum strings");
  for (const Value& item : iterate(rt, value)) {
    total = arithmetic(rt, "+", total,
                       bound.has_value(0) ? follow_path(rt, item, bound.get(0), {}) : item);
  }
  return total;
}

Value file_size(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "filesizeformat", arguments, {"binary"});
  double bytes = value.is_number() ? value.as_double() : 0;
  if (!value.is_number() && !(value.is_string() && parse_float(value.as_text(), &bytes))) {
    rt.error("filesizeformat: '{}' is not a number", type_name(value));
  }
  const bool binary = bound.truth(0, false);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) return Value::string(fmt::format("{} Bytes", std::trunc(bytes)));
  const char* prefixes = binary ? "KMGTPEZY" : "kMGTPEZY";
  double unit = base;
  int i = 0;
  do {
    unit *= base;
  } while (bytes >= unit && ++i < 7);
  return Value::string(
      fmt::format("{:.1f} {}{}", base * bytes / unit, prefixes[i], binary ? "iB" : "B"));
}

}  // namespace

Filter find_number_filter(std::string_view name) {
  static const std::map<std::string_view, Filter> kFilters = {
      {"abs", absolute},   {"filesizeformat", file_size},
      {"float", to_float}, {"int", to_integer},
      {"round", round},    {"sum", sum},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

Filter find_filter(std::string_view name) {
  if (const Filter filter = find_text_filter(name)) return filter;
  if (const Filter filter = find_list_filter(name)) return filter;
  return find_number_filter(name);
}

}  // namespace headgate::jinja
