// Equality, order, hashing and membership as Python defines them.
#include <algorithm>
#include <cmath>
#include <functional>

#include "chat/jinja_value.h"

namespace headgate::jinja {
namespace {

bool equal_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.as_integer() == b.as_integer();
  if (a.is(Kind::kFloat) && b.is(Kind::kFloat)) return a.as_double() == b.as_double();
  // 64 bits of mantissa: exact for every integer a template meets in practice.
  const auto wide = [](const Value& v) {
    return v.is(Kind::kFloat) ? static_cast<long double>(v.as_double())
                              : static_cast<long double>(v.as_integer());
  };
  return wide(a) == wide(b);
}

bool equal_items(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(rt, a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(Runtime& rt, const DictData& a, const DictData& b) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, item] : a.items) {
    const Value* other = b.find(rt, key);
    if (other == nullptr || !equal(rt, item, *other)) return false;
  }
  return true;
}

bool equal_ranges(const RangeData& a, const RangeData& b) {
  if (a.length != b.length) return false;
  if (a.length == 0) return true;
  return a.start == b.start && (a.length == 1 || a.step == b.step);
}

bool less_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.as_integer() < b.as_integer();
  if (a.is(Kind::kFloat) && b.is(Kind::kFloat)) return a.as_double() < b.as_double();
  const auto wide = [](const Value& v) {
    return v.is(Kind::kFloat) ? static_cast<long double>(v.as_double())
                              : static_cast<long double>(v.as_integer());
  };
  return wide(a) < wide(b);
}

}  // namespace

bool is_hashable(const Value& value) {
  switch (value.kind()) {
    case Kind::kList:
    case Kind::kDict:
      return false;
    case Kind::kTuple:
      return value.list_data().hashable;
    case Kind::kView:
      return view_data(value).name == "values";
    default:
      return true;
  }
}

size_t hash_value(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 1;
    case Kind::kNone:
      return 2;
    case Kind::kBool:
    case Kind::kInt:
      return std::hash<int64_t>{}(static_cast<int64_t>(value.as_integer()));
    case Kind::kFloat: {
      const double number = value.as_double();
      // A float that is an integer must land beside that integer.
      if (std::nearbyint(number) == number && std::fabs(number) < 9e18) {
        return std::hash<int64_t>{}(static_cast<int64_t>(number));
      }
      return std::hash<double>{}(number);
    }
    case Kind::kString:
      rt.scan(value.as_text().size());
      return std::hash<std::string_view>{}(value.as_text());
    case Kind::kTuple: {
      size_t hash = 7;
      for (const Value& item : value.items()) {
        rt.step();
        hash = hash * 1000003 + hash_value(rt, item);
      }
      return hash;
    }
    case Kind::kRange:
      return static_cast<size_t>(value.range_data().length);
    case Kind::kList:
    case Kind::kDict:
      rt.error("unhashable type: '{}'", type_name(value));
    default:
      return std::hash<const void*>{}(value.identity());
  }
}

bool equal(Runtime& rt, const Value& a, const Value& b) {
  rt.step();
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  if (a.identity() != nullptr && a.identity() == b.identity()) return true;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      if (a.as_text().size() != b.as_text().size()) return false;
      rt.scan(a.as_text().size());
      return a.as_text() == b.as_text();
    case Kind::kList:
    case Kind::kTuple:
      return equal_items(rt, a.items(), b.items());
    case Kind::kDict:
      return equal_dicts(rt, a.dict_data(), b.dict_data());
    case Kind::kRange:
      return equal_ranges(a.range_data(), b.range_data());
    case Kind::kView: {
      // Views of keys and items compare as sets, views of values by identity.
      const ViewData& x = view_data(a);
      const ViewData& y = view_data(b);
      if (x.name == "values" || y.name == "values" || x.items.size() != y.items.size()) {
        return false;
      }
      return std::all_of(x.items.begin(), x.items.end(),
                         [&](const Value& item) { return contains(rt, b, item); });
    }
    default:
      return false;
  }
}

bool less(Runtime& rt, const Value& a, const Value& b) { return ordered(rt, "<", a, b); }

bool ordered(Runtime& rt, std::string_view op, const Value& a, const Value& b) {
  rt.step();
  if (a.is_undefined()) rt.error("{}", a.undefined_message());
  if (b.is_undefined()) rt.error("{}", b.undefined_message());
  const bool or_equal = op.size() == 2;
  const bool swapped = op[0] == '>';
  const Value& x = swapped ? b : a;
  const Value& y = swapped ? a : b;
  if (x.is_number() && y.is_number()) {
    return less_numbers(x, y) || (or_equal && equal_numbers(x, y));
  }
  if (x.is_string() && y.is_string()) {
    // The order of UTF-8 bytes is the order of code points.
    rt.scan(std::min(x.as_text().size(), y.as_text().size()));
    return or_equal ? x.as_text() <= y.as_text() : x.as_text() < y.as_text();
  }
  if (x.kind() == y.kind() && x.is_list_or_tuple()) {
    const size_t shared = std::min(x.items().size(), y.items().size());
    for (size_t i = 0; i < shared; ++i) {
      if (!equal(rt, x.items()[i], y.items()[i]))
        return ordered(rt, op, a.items()[i], b.items()[i]);
    }
    return or_equal ? x.items().size() <= y.items().size() : x.items().size() < y.items().size();
  }
  rt.error("'{}' not supported between instances of '{}' and '{}'", op, type_name(a), type_name(b));
}

bool contains(Runtime& rt, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (!item.is_string()) {
        rt.error("'in <string>' requires string as left operand, not {}", type_name(item));
      }
      rt.scan(container.as_text().size());
      return container.as_text().find(item.as_text()) != std::string::npos;
    case Kind::kDict:
      if (!is_hashable(item)) rt.error("unhashable type: '{}'", type_name(item));
      return container.dict_data().find(rt, item) != nullptr;
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView: {
      const std::vector<Value>& items =
          container.is(Kind::kView) ? view_data(container).items : container.items();
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& other) { return equal(rt, other, item); });
    }
    case Kind::kGenerator: {
      GeneratorData& generator = container.generator_data();
      while (generator.next < generator.items.size()) {
        if (equal(rt, generator.items[generator.next++], item)) return true;
      }
      return false;
    }
    case Kind::kUndefined:
    case Kind::kRange: {
      const std::vector<Value> items = iterate(rt, container);
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& other) { return equal(rt, other, item); });
    }
    default:
      rt.error("argument of type '{}' is not iterable", type_name(container));
  }
}

}  // namespace headgate::jinja
