// Filters on sequences and dicts.
#include <algorithm>
#include <map>

#include "chat/jinja_bind.h"
#include "chat/jinja_filters.h"
#include "chat/jinja_methods.h"
#include "chat/jinja_text.h"
#include "chat/unicode_case.h"

namespace headgate::jinja {
namespace {

Value ignore_case(Runtime& rt, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  rt.scan(value.as_text().size());
  return Value::string(to_lower(value.as_text()));
}

// The key that sort compares: one entry for each of the comma separated attributes.
Value sort_key(Runtime& rt, const Value& item, const Value& attribute, bool case_sensitive) {
  std::vector<Value> keys;
  if (attribute.is_string()) {
    const std::string comma = ",";
    for (const std::string_view path : split_text(rt, attribute.as_text(), &comma, -1, false)) {
      keys.push_back(ignore_case(rt, follow_path(rt, item, Value::string(std::string(path)), {}),
                                 case_sensitive));
    }
  } else {
    keys.push_back(ignore_case(rt, follow_path(rt, item, attribute, {}), case_sensitive));
  }
  return Value::list(rt, std::move(keys));
}

using Keyed = std::pair<Value, Value>;  // key, item

void sort_keyed(Runtime& rt, std::vector<Keyed>* items, bool reverse) {
  std::stable_sort(items->begin(), items->end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? less(rt, b.first, a.first) : less(rt, a.first, b.first);
  });
}

Value list_of(Runtime& rt, const std::vector<Keyed>& keyed) {
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (const Keyed& k : keyed) items.push_back(k.second);
  return Value::list(rt, std::move(items));
}

Value sort(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(rt, value)) {
    keyed.emplace_back(sort_key(rt, item, bound.value(2), bound.truth(1, false)), item);
  }
  sort_keyed(rt, &keyed, bound.truth(0, false));
  return list_of(rt, keyed);
}

Value dict_sort(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  if (!value.is(Kind::kDict)) rt.error("dictsort: '{}' is not a dict", type_name(value));
  const std::string by = bound.text(1, "key");
  if (by != "key" && by != "value") rt.error("dictsort: sort by either \"key\" or \"value\"");
  std::vector<Keyed> keyed;
  for (const auto& [key, item] : value.dict_data().items) {
    keyed.emplace_back(ignore_case(rt, by == "key" ? key : item, bound.truth(0, false)),
                       Value::tuple(rt, {key, item}));
  }
  sort_keyed(rt, &keyed, bound.truth(2, false));
  return list_of(rt, keyed);
}

Value unique(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "unique", arguments, {"case_sensitive", "attribute"});
  DictData seen;
  std::vector<Value> items;
  for (const Value& item : iterate(rt, value)) {
    const Value key =
        ignore_case(rt, follow_path(rt, item, bound.value(1), {}), bound.truth(0, false));
    if (!is_hashable(key)) rt.error("unhashable type: '{}'", type_name(key));
    if (seen.find(rt, key) != nullptr) continue;
    seen.set(rt, key, {});
    items.push_back(item);
  }
  return Value::generator(std::move(items));
}

template <bool kMax>
Value extreme(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(rt, value);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const auto key_of = [&](const Value& item) {
    return ignore_case(rt, follow_path(rt, item, bound.value(1), {}), bound.truth(0, false));
  };
  const Value* best = &items[0];
  Value best_key = key_of(items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    const Value key = key_of(items[i]);
    if (kMax ? ordered(rt, ">", key, best_key) : less(rt, key, best_key)) {
      best = &items[i];
      best_key = key;
    }
  }
  return *best;
}

Value group_by(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = bound.truth(2, false);
  const auto path = [&](const Value& item) {
    return follow_path(rt, item, bound.get(0), bound.value(1));
  };
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(rt, value)) {
    keyed.emplace_back(ignore_case(rt, path(item), case_sensitive), item);
  }
  sort_keyed(rt, &keyed, false);
  std::vector<Value> groups;
  for (size_t i = 0; i < keyed.size();) {
    std::vector<Value> members;
    const size_t first = i;
    for (; i < keyed.size() && equal(rt, keyed[i].first, keyed[first].first); ++i) {
      members.push_back(keyed[i].second);
    }
    const Value key = case_sensitive ? keyed[first].first : path(members[0]);
    groups.push_back(Value::tuple(rt, {key, Value::list(rt, std::move(members))}, true));
  }
  return Value::list(rt, std::move(groups));
}

Value map(Runtime& rt, const Value& value, const Arguments& arguments) {
  std::vector<Value> out;
  if (!truth(value)) return Value::generator(std::move(out));
  if (arguments.positional.empty()) {
    const Bound bound(rt, "map", arguments, {"attribute", "default"});
    if (!bound.has(0)) rt.error("map requires a filter argument");
    for (const Value& item : iterate(rt, value)) {
      out.push_back(follow_path(rt, item, bound.get(0), bound.value(1)));
    }
    return Value::generator(std::move(out));
  }
  const Value& name = arguments.positional[0];
  const Filter filter = name.is_string() ? find_filter(name.as_text()) : nullptr;
  if (filter == nullptr) rt.error("No filter named {}.", to_repr(rt, name));
  Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.keyword};
  const DepthGuard guard(rt);
  for (const Value& item : iterate(rt, value)) {
    rt.step();
    out.push_back(filter(rt, item, rest));
  }
  return Value::generator(std::move(out));
}

template <bool kAttribute, bool kKeep>
Value select(Runtime& rt, const Value& value, const Arguments& arguments) {
  std::vector<Value> out;
  if (!truth(value)) return Value::generator(std::move(out));
  constexpr size_t kTestAt = kAttribute ? 1 : 0;
  if (arguments.positional.size() < kTestAt) rt.error("Missing parameter for attribute name");
  Test test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > kTestAt) {
    const Value& name = arguments.positional[kTestAt];
    test = name.is_string() ? find_test(name.as_text()) : nullptr;
    if (test == nullptr) rt.error("No test named {}.", to_repr(rt, name));
    rest.positional.assign(arguments.positional.begin() + kTestAt + 1, arguments.positional.end());
    rest.keyword = arguments.keyword;
  }
  for (const Value& item : iterate(rt, value)) {
    rt.step();
    const Value subject = kAttribute ? follow_path(rt, item, arguments.positional[0], {}) : item;
    const bool passes = test != nullptr ? test(rt, subject, rest) : truth(subject);
    if (passes == kKeep) out.push_back(item);
  }
  return Value::generator(std::move(out));
}

Value join(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "join", arguments, {"d", "attribute"});
  std::vector<std::string> parts;
  for (const Value& item : iterate(rt, value)) {
    parts.push_back(
        to_text(rt, bound.has_value(1) ? follow_path(rt, item, bound.get(1), {}) : item));
  }
  return Value::string(
      join_text(rt, bound.has(0) ? to_text(rt, bound.get(0)) : std::string(), parts));
}

Value first(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "first", arguments, {});
  if (value.is(Kind::kGenerator)) {
    GeneratorData& generator = value.generator_data();
    if (generator.next < generator.items.size()) return generator.items[generator.next++];
    return Value::undefined("No first item, sequence was empty.");
  }
  const std::vector<Value> items = iterate(rt, value);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items[0];
}

Value last(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "last", arguments, {});
  if (value.is(Kind::kGenerator)) rt.error("'generator' object is not reversible");
  const std::vector<Value> items = iterate(rt, value);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value list(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "list", arguments, {});
  return Value::list(rt, iterate(rt, value));
}

Value reverse(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "reverse", arguments, {});
  if (value.is_string()) return get_slice(rt, value, {}, {}, Value::integer(-1));
  std::vector<Value> items = iterate(rt, value);
  std::reverse(items.begin(), items.end());
  return value.is(Kind::kGenerator) ? Value::list(rt, std::move(items))
                                    : Value::generator(std::move(items));
}

Value items(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "items", arguments, {});
  if (value.is_undefined()) return Value::generator({});
  if (!value.is(Kind::kDict)) rt.error("Can only get item pairs from a mapping.");
  return Value::generator(iterate(rt, find_container_method(Kind::kDict, "items")(rt, value, {})));
}

Value batch(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "batch", arguments, {"linecount", "fill_with"}, 1);
  const Int size = bound.integer(0, 0);
  std::vector<Value> out;
  std::vector<Value> row;
  bool any = false;
  for (const Value& item : iterate(rt, value)) {
    if (any && static_cast<Int>(row.size()) == size) {
      out.push_back(Value::list(rt, std::move(row)));
      row.clear();
    }
    any = true;
    row.push_back(item);
  }
  if (!row.empty()) {
    if (bound.has_value(1) && size > static_cast<Int>(row.size())) {
      rt.step(clamp_integer(size));
      rt.produce_items(static_cast<size_t>(size));
      row.resize(static_cast<size_t>(size), bound.get(1));
    }
    out.push_back(Value::list(rt, std::move(row)));
  }
  return Value::generator(std::move(out));
}

Value slice(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "slice", arguments, {"slices", "fill_with"}, 1);
  const std::vector<Value> items = iterate(rt, value);
  const Int slices = bound.integer(0, 0);
  if (slices == 0) rt.error("division by zero");
  std::vector<Value> out;
  const Int each = static_cast<Int>(items.size()) / slices;
  const Int longer = static_cast<Int>(items.size()) % slices;
  auto next = items.begin();
  for (Int i = 0; i < slices; ++i) {
    const auto size = static_cast<std::ptrdiff_t>(each + (i < longer ? 1 : 0));
    std::vector<Value> part(next, next + size);
    next += size;
    if (bound.has_value(1) && i >= longer) part.push_back(bound.get(1));
    out.push_back(Value::list(rt, std::move(part)));
    rt.produce_items(1);
  }
  return Value::generator(std::move(out));
}

Value default_value(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "default", arguments, {"default_value", "boolean"});
  if (value.is_undefined() || (bound.truth(1, false) && !truth(value))) {
    return bound.value(0, Value::string(""));
  }
  return value;
}

Value count(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "length", arguments, {});
  return Value::integer(length(rt, value));
}

Value attribute(Runtime& rt, const Value& value, const Arguments& arguments) {
  const Bound bound(rt, "attr", arguments, {"name"}, 1);
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  Value out;
  if (find_attribute(rt, value, bound.text(0), &out)) return out;
  return Value::undefined(
      fmt::format("'{}' object has no attribute '{}'", type_name(value), bound.text(0)));
}

}  // namespace

Value follow_path(Runtime& rt, const Value& item, const Value& path, const Value& fallback) {
  if (path.is_none()) return item;
  if (!path.is_string()) {
    Value found = get_item(rt, item, path);
    return found.is_undefined() && !fallback.is_none() ? fallback : found;
  }
  Value current = item;
  const std::string dot = ".";
  for (const std::string_view part : split_text(rt, path.as_text(), &dot, -1, false)) {
    Int number = 0;
    const bool is_number = !part.empty() &&
                           part.find_first_not_of("0123456789") == std::string_view::npos &&
                           parse_integer(part, 10, &number);
    current = get_item(rt, current,
                       is_number ? Value::integer(number) : Value::string(std::string(part)));
    if (current.is_undefined() && !fallback.is_none()) current = fallback;
  }
  return current;
}

Filter find_list_filter(std::string_view name) {
  static const std::map<std::string_view, Filter> kFilters = {
      {"attr", attribute},
      {"batch", batch},
      {"count", count},
      {"d", default_value},
      {"default", default_value},
      {"dictsort", dict_sort},
      {"first", first},
      {"groupby", group_by},
      {"items", items},
      {"join", join},
      {"last", last},
      {"length", count},
      {"list", list},
      {"map", map},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", select<false, false>},
      {"rejectattr", select<true, false>},
      {"reverse", reverse},
      {"select", select<false, true>},
      {"selectattr", select<true, true>},
      {"slice", slice},
      {"sort", sort},
      {"unique", unique},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace headgate::jinja
