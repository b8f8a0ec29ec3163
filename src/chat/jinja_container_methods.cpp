// The methods of dict, list, tuple, range and numbers that leave their object as it is.
#include <algorithm>
#include <cmath>

#include "chat/jinja_bind.h"
#include "chat/jinja_methods.h"

namespace headgate::jinja {
namespace {

Value dict_keys(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "keys", arguments, {});
  return Value::view(self, "keys", iterate(rt, self));
}

Value dict_values(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "values", arguments, {});
  std::vector<Value> items;
  rt.produce_items(self.dict_data().items.size());
  for (const auto& item : self.dict_data().items) items.push_back(item.second);
  return Value::view(self, "values", std::move(items));
}

Value dict_items(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "items", arguments, {});
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict_data().items) {
    items.push_back(Value::tuple(rt, {key, value}));
  }
  return Value::view(self, "items", std::move(items));
}

Value dict_get(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "get", arguments, {"key", "default"}, 1, 2);
  if (!is_hashable(bound.get(0))) rt.error("unhashable type: '{}'", type_name(bound.get(0)));
  const Value* found = self.dict_data().find(rt, bound.get(0));
  return found != nullptr ? *found : bound.value(1);
}

Value copy(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "copy", arguments, {});
  return self;  // nothing can change either of them
}

Value sequence_count(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "count", arguments, {"value"}, 1, 1);
  const std::vector<Value> items = iterate(rt, self);
  return Value::integer(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(rt, item, bound.get(0));
  }));
}

Value sequence_index(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "index", arguments, {"value", "start", "stop"}, 1, 3);
  const std::vector<Value> items = iterate(rt, self);
  const auto size = static_cast<int64_t>(items.size());
  const auto limit = [&](size_t i, int64_t fallback) {
    const int64_t n = clamp_integer(bound.integer(i, fallback));
    return n < 0 ? std::max<int64_t>(0, n + size) : std::min(n, size);
  };
  const int64_t stop = limit(2, size);
  for (int64_t i = limit(1, 0); i < stop; ++i) {
    if (equal(rt, items[static_cast<size_t>(i)], bound.get(0))) return Value::integer(i);
  }
  rt.error("{} is not in the {}", to_repr(rt, bound.get(0)), type_name(self));
}

Value float_is_integer(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "is_integer", arguments, {});
  const double number = self.as_double();
  return Value::boolean(std::isfinite(number) && std::floor(number) == number);
}

Value int_bit_length(Runtime& rt, const Value& self, const Arguments& arguments) {
  const Bound bound(rt, "bit_length", arguments, {});
  const Int value = self.as_integer();
  auto rest = static_cast<unsigned __int128>(value < 0 ? -value : value);
  int bits = 0;
  for (; rest != 0; rest >>= 1) ++bits;
  return Value::integer(bits);
}

}  // namespace

Method find_container_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::kDict:
      if (name == "items") return dict_items;
      if (name == "keys") return dict_keys;
      if (name == "values") return dict_values;
      if (name == "get") return dict_get;
      if (name == "copy") return copy;
      return nullptr;
    case Kind::kList:
      if (name == "copy") return copy;
      [[fallthrough]];
    case Kind::kTuple:
    case Kind::kRange:
      if (name == "count") return sequence_count;
      if (name == "index") return sequence_index;
      return nullptr;
    case Kind::kFloat:
      return name == "is_integer" ? float_is_integer : nullptr;
    case Kind::kInt:
    case Kind::kBool:
      return name == "bit_length" ? int_bit_length : nullptr;
    default:
      return nullptr;
  }
}

bool is_mutating_method(Kind kind, std::string_view name) {
  static constexpr std::string_view kOfDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr std::string_view kOfList[] = {"append", "clear",  "extend",  "insert",
                                                 "pop",    "remove", "reverse", "sort"};
  if (kind == Kind::kDict)
    return std::find(std::begin(kOfDict), std::end(kOfDict), name) != std::end(kOfDict);
  if (kind == Kind::kList)
    return std::find(std::begin(kOfList), std::end(kOfList), name) != std::end(kOfList);
  return false;
}

}  // namespace headgate::jinja
