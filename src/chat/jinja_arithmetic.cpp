// The operators + - * / // % ** and the signs, on numbers, text and lists.
#include <cmath>

#include "chat/jinja_format.h"
#include "chat/jinja_text.h"
#include "chat/jinja_value.h"

namespace headgate::jinja {
namespace {

[[noreturn]] void overflow(Runtime& rt) { rt.error("integer overflow: more than 127 bits"); }

// Largest exponent a template can sensibly use; beyond it the result overflows anyway.
Value integer_power(Runtime& rt, Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) rt.error("0 cannot be raised to a negative power");
    return Value::number(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  if (exponent > 127) overflow(rt);
  Int result = 1;
  for (Int i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) overflow(rt);
  }
  return Value::integer(result);
}

Int floor_divide(Int a, Int b) {
  const Int quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

Value integer_arithmetic(Runtime& rt, std::string_view op, Int a, Int b) {
  Int result = 0;
  if (op == "+") {
    if (__builtin_add_overflow(a, b, &result)) overflow(rt);
  } else if (op == "-") {
    if (__builtin_sub_overflow(a, b, &result)) overflow(rt);
  } else if (op == "*") {
    if (__builtin_mul_overflow(a, b, &result)) overflow(rt);
  } else if (op == "**") {
    return integer_power(rt, a, b);
  } else {
    if (b == 0) rt.error("division by zero");
    if (b == -1) {
      if (op == "%") return Value::integer(0);
      if (op == "//") {
        if (__builtin_sub_overflow(Int{0}, a, &result)) overflow(rt);
        return Value::integer(result);
      }
    }
    if (op == "/") {
      return Value::number(
          static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    }
    result = floor_divide(a, b);
    if (op == "%") result = a - result * b;
  }
  return Value::integer(result);
}

// Python's float remainder has the sign of the divisor.
double float_modulo(double a, double b) {
  double result = std::fmod(a, b);
  if (result != 0) {
    if ((b < 0) != (result < 0)) result += b;
  } else {
    result = std::copysign(0.0, b);
  }
  return result;
}

double float_floor_divide(double a, double b) {
  const double rest = float_modulo(a, b);
  const double quotient = (a - rest) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  double floored = std::floor(quotient);
  if (quotient - floored > 0.5) floored += 1;
  return floored;
}

Value float_arithmetic(Runtime& rt, std::string_view op, double a, double b) {
  if (op == "+") return Value::number(a + b);
  if (op == "-") return Value::number(a - b);
  if (op == "*") return Value::number(a * b);
  if (op == "**") {
    if (a == 0 && b < 0) rt.error("0.0 cannot be raised to a negative power");
    if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::floor(b) != b) {
      rt.error("a negative number to a fractional power is complex");
    }
    const double result = std::pow(a, b);
    if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) rt.error("float overflow");
    return Value::number(result);
  }
  if (b == 0) rt.error("float division by zero");
  if (op == "/") return Value::number(a / b);
  if (op == "//") return Value::number(float_floor_divide(a, b));
  return Value::number(float_modulo(a, b));
}

Value add_text(Runtime& rt, const Value& a, const Value& b) {
  const bool safe = a.string_data().safe || b.string_data().safe;
  // Markup escapes the plain text it is joined with.
  const auto part = [&](const Value& v) {
    return safe && !v.string_data().safe ? escape_html(rt, v.as_text()) : v.as_text();
  };
  rt.produce(a.as_text().size() + b.as_text().size());
  return Value::string(part(a) + part(b), safe);
}

Value add_items(Runtime& rt, const Value& a, const Value& b) {
  rt.produce_items(a.items().size() + b.items().size());
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is(Kind::kList) ? Value::list(rt, std::move(items)) : Value::tuple(rt, std::move(items));
}

Value repeat_items(Runtime& rt, const Value& sequence, Int count) {
  const std::vector<Value>& source = sequence.items();
  std::vector<Value> items;
  if (count > 0 && !source.empty()) {
    if (count > rt.limits().produced_bytes / static_cast<int64_t>(source.size())) {
      rt.out_of("items in one list", rt.limits().produced_bytes);
    }
    rt.produce_items(source.size() * static_cast<size_t>(count));
    for (Int i = 0; i < count; ++i) items.insert(items.end(), source.begin(), source.end());
  }
  return sequence.is(Kind::kList) ? Value::list(rt, std::move(items))
                                  : Value::tuple(rt, std::move(items));
}

}  // namespace

Value arithmetic(Runtime& rt, std::string_view op, const Value& a, const Value& b) {
  if (op == "%" && a.is_string()) {
    return Value::string(format_percent(rt, a.as_text(), b), a.string_data().safe);
  }
  if (a.is_undefined()) rt.error("{}", a.undefined_message());
  if (b.is_undefined()) rt.error("{}", b.undefined_message());
  if (a.is_number() && b.is_number()) {
    if (a.is_integer() && b.is_integer()) {
      return integer_arithmetic(rt, op, a.as_integer(), b.as_integer());
    }
    return float_arithmetic(rt, op, a.as_double(), b.as_double());
  }
  if (op == "+") {
    if (a.is_string() && b.is_string()) return add_text(rt, a, b);
    if (a.is_list_or_tuple() && a.kind() == b.kind()) return add_items(rt, a, b);
  }
  if (op == "*") {
    const Value& sequence = a.is_integer() ? b : a;
    const Value& count = a.is_integer() ? a : b;
    if (count.is_integer() && sequence.is_string()) {
      return Value::string(repeat_text(rt, sequence.as_text(), count.as_integer()),
                           sequence.string_data().safe);
    }
    if (count.is_integer() && sequence.is_list_or_tuple()) {
      return repeat_items(rt, sequence, count.as_integer());
    }
  }
  rt.error("unsupported operand types for {}: '{}' and '{}'", op, type_name(a), type_name(b));
}

Value negate(Runtime& rt, const Value& value, bool negative) {
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  if (value.is(Kind::kFloat)) {
    return Value::number(negative ? -value.as_double() : value.as_double());
  }
  if (!value.is_integer()) {
    rt.error("bad operand type for unary {}: '{}'", negative ? "-" : "+", type_name(value));
  }
  Int result = value.as_integer();
  if (negative && __builtin_sub_overflow(Int{0}, result, &result)) overflow(rt);
  return Value::integer(result);
}

}  // namespace headgate::jinja
