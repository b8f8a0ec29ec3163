// The tests behind "is".
#include <map>

#include "chat/jinja_bind.h"
#include "chat/jinja_filters.h"
#include "chat/jinja_text.h"

namespace headgate::jinja {
namespace {

void no_arguments(Runtime& rt, const Arguments& arguments) {
  const Bound bound(rt, "test", arguments, {});
}

const Value& one_argument(Runtime& rt, const Arguments& arguments) {
  const Bound bound(rt, "test", arguments, {"other"}, 1);
  return bound.get(0);
}

template <Kind kKind>
bool is_kind(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is(kKind);
}

template <bool kWanted>
bool is_defined(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is_undefined() != kWanted;
}

template <bool kWanted>
bool is_truth(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is(Kind::kBool) && value.as_bool() == kWanted;
}

template <int kRest>
bool has_rest(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return equal(rt, arithmetic(rt, "%", value, Value::integer(2)), Value::integer(kRest));
}

bool divisible_by(Runtime& rt, const Value& value, const Arguments& arguments) {
  return equal(rt, arithmetic(rt, "%", value, one_argument(rt, arguments)), Value::integer(0));
}

bool is_number(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is_number();
}

bool is_iterable_test(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return is_iterable(value);
}

// Has a length and an index operator.
bool is_sequence(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is_string() || value.is_list_or_tuple() || value.is(Kind::kDict) ||
         value.is(Kind::kRange) || value.is_undefined();
}

bool is_callable(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is_undefined() || (value.is(Kind::kObject) && value.as_object().is_callable());
}

template <bool kUpper>
bool is_case(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return has_only_case(soft_text(rt, value).as_text(), kUpper);
}

bool is_escaped(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is_string() && value.string_data().safe;
}

bool is_filter(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is_string() && find_filter(value.as_text()) != nullptr;
}

bool is_test(Runtime& rt, const Value& value, const Arguments& arguments) {
  no_arguments(rt, arguments);
  return value.is_string() && find_test(value.as_text()) != nullptr;
}

bool is_in(Runtime& rt, const Value& value, const Arguments& arguments) {
  return contains(rt, one_argument(rt, arguments), value);
}

// Small numbers, None and the truth values are one object each in Python.
bool is_same(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Value& other = one_argument(rt, arguments);
  if (value.kind() != other.kind()) return false;
  if (value.identity() != nullptr && !value.is_string()) {
    return value.identity() == other.identity();
  }
  return equal(rt, value, other);
}

bool is_equal(Runtime& rt, const Value& value, const Arguments& arguments) {
  return equal(rt, value, one_argument(rt, arguments));
}
bool is_not_equal(Runtime& rt, const Value& value, const Arguments& arguments) {
  return !equal(rt, value, one_argument(rt, arguments));
}
bool is_greater(Runtime& rt, const Value& value, const Arguments& arguments) {
  return ordered(rt, ">", value, one_argument(rt, arguments));
}
bool is_greater_equal(Runtime& rt, const Value& value, const Arguments& arguments) {
  return ordered(rt, ">=", value, one_argument(rt, arguments));
}
bool is_less(Runtime& rt, const Value& value, const Arguments& arguments) {
  return ordered(rt, "<", value, one_argument(rt, arguments));
}
bool is_less_equal(Runtime& rt, const Value& value, const Arguments& arguments) {
  return ordered(rt, "<=", value, one_argument(rt, arguments));
}

}  // namespace

Test find_test(std::string_view name) {
  static const std::map<std::string_view, Test> kTests = {
      {"!=", is_not_equal},
      {"<", is_less},
      {"<=", is_less_equal},
      {"==", is_equal},
      {">", is_greater},
      {">=", is_greater_equal},
      {"boolean", is_kind<Kind::kBool>},
      {"callable", is_callable},
      {"defined", is_defined<true>},
      {"divisibleby", divisible_by},
      {"eq", is_equal},
      {"equalto", is_equal},
      {"escaped", is_escaped},
      {"even", has_rest<0>},
      {"false", is_truth<false>},
      {"filter", is_filter},
      {"float", is_kind<Kind::kFloat>},
      {"ge", is_greater_equal},
      {"greaterthan", is_greater},
      {"gt", is_greater},
      {"in", is_in},
      {"integer", is_kind<Kind::kInt>},
      {"iterable", is_iterable_test},
      {"le", is_less_equal},
      {"lessthan", is_less},
      {"lower", is_case<false>},
      {"lt", is_less},
      {"mapping", is_kind<Kind::kDict>},
      {"ne", is_not_equal},
      {"none", is_kind<Kind::kNone>},
      {"number", is_number},
      {"odd", has_rest<1>},
      {"sameas", is_same},
      {"sequence", is_sequence},
      {"string", is_kind<Kind::kString>},
      {"test", is_test},
      {"true", is_truth<true>},
      {"undefined", is_defined<false>},
      {"upper", is_case<true>},
  };
  const auto found = kTests.find(name);
  return found == kTests.end() ? nullptr : found->second;
}

}  // namespace headgate::jinja
