// Attribute access, subscripts, slices and calls, as the immutable sandbox does them.
#include <algorithm>
#include <limits>

#include "chat/jinja_bind.h"
#include "chat/jinja_filters.h"
#include "chat/jinja_methods.h"
#include "chat/jinja_text.h"
#include "chat/jinja_value.h"

namespace headgate::jinja {
namespace {

class BoundMethod : public Object {
 public:
  BoundMethod(Value self, std::string_view name, Method method)
      : self_(std::move(self)), name_(name), method_(method) {}

  std::string_view type_name() const override { return "builtin_function_or_method"; }
  std::string repr(Runtime&) const override {
    return fmt::format("<built-in method {} of {} object>", name_, jinja::type_name(self_));
  }
  bool is_callable() const override { return true; }
  Value call(Runtime& rt, const Arguments& arguments) override {
    return method_(rt, self_, arguments);
  }

 private:
  Value self_;
  std::string name_;
  Method method_;
};

std::string describe(const Value& value) {
  return value.is_none() ? "None" : fmt::format("{} object", type_name(value));
}

Value missing_attribute(const Value& value, std::string_view name) {
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", describe(value), name));
}

Value missing_element(Runtime& rt, const Value& value, const Value& key) {
  if (key.is_string()) return missing_attribute(value, key.as_text());
  return Value::undefined(fmt::format("{} has no element {}", describe(value), to_repr(rt, key)));
}

// What Python's getattr() finds on the built-in types, without what the sandbox hides.
bool own_attribute(Runtime& rt, const Value& value, std::string_view name, Value* out) {
  const Kind kind = value.kind();
  if (kind == Kind::kObject) return value.as_object().attribute(rt, name, out);
  if (name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__") {
    static constexpr std::string_view kInternals[] = {
        "__class__", "__init__", "__doc__",  "__dict__",   "__len__",  "__eq__",
        "__str__",   "__repr__", "__hash__", "__format__", "__iter__", "__getattribute__"};
    if (std::find(std::begin(kInternals), std::end(kInternals), name) == std::end(kInternals)) {
      return false;
    }
    *out = Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(value)));
    return true;
  }
  if (is_mutating_method(kind, name)) {
    *out = Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(value)));
    return true;
  }
  if (kind == Kind::kRange && (name == "start" || name == "stop" || name == "step")) {
    const RangeData& range = value.range_data();
    *out = Value::integer(name == "start" ? range.start : name == "stop" ? range.stop : range.step);
    return true;
  }
  if (kind == Kind::kTuple && value.list_data().is_group && (name == "grouper" || name == "list")) {
    *out = value.items()[name == "grouper" ? 0 : 1];
    return true;
  }
  if (value.is_number() && (name == "real" || name == "imag")) {
    *out = name == "real"       ? negate(rt, value, false)
           : value.is_integer() ? Value::integer(0)
                                : Value::number(0.0);
    return true;
  }
  const Method method =
      kind == Kind::kString ? find_string_method(name) : find_container_method(kind, name);
  if (method == nullptr) return false;
  *out = Value::object(std::make_shared<BoundMethod>(value, name, method));
  return true;
}

// Python's slice.indices(): clamps the bounds; the number of items comes back.
int64_t slice_indices(Runtime& rt, const Value& start, const Value& stop, const Value& step,
                      int64_t length, int64_t* first, int64_t* stride) {
  const auto bound = [&](const Value& v, Int fallback, Int low, Int high) {
    if (v.is_none()) return fallback;
    if (v.is_undefined()) rt.error("{}", v.undefined_message());
    if (!v.is_integer()) rt.error("slice indices must be integers or None");
    Int i = v.as_integer();
    if (i < 0) i += length;
    return std::clamp(i, low, high);
  };
  Int by = 1;
  if (!step.is_none()) {
    if (!step.is_integer()) rt.error("slice indices must be integers or None");
    by = step.as_integer();
    if (by == 0) rt.error("slice step cannot be zero");
    by = std::clamp<Int>(by, -std::numeric_limits<int32_t>::max() * Int{1024},
                         std::numeric_limits<int32_t>::max() * Int{1024});
  }
  const Int low = by < 0 ? -1 : 0;
  const Int high = by < 0 ? length - 1 : length;
  const Int begin = bound(start, by < 0 ? high : low, low, high);
  const Int end = bound(stop, by < 0 ? low : high, low, high);
  *first = static_cast<int64_t>(begin);
  *stride = static_cast<int64_t>(by);
  const Int count = by > 0 ? (end - begin + by - 1) / by : (begin - end - by - 1) / -by;
  return count < 0 ? 0 : static_cast<int64_t>(count);
}

Value slice_text(Runtime& rt, const Value& value, int64_t first, int64_t stride, int64_t count) {
  const StringData& text = value.string_data();
  if (count == 0) return Value::string("", text.safe);
  if (stride == 1) {
    rt.scan(text.text.size());
    const size_t begin = byte_offset(text, first);
    const size_t end = byte_offset(text, first + count);
    rt.produce(end - begin);
    return Value::string(text.text.substr(begin, end - begin), text.safe);
  }
  rt.step(text.length);
  std::vector<uint32_t> offsets;  // where each code point begins, and the end
  offsets.reserve(static_cast<size_t>(text.length) + 1);
  for (size_t i = 0; i < text.text.size(); ++i) {
    if ((static_cast<unsigned char>(text.text[i]) & 0xc0) != 0x80) {
      offsets.push_back(static_cast<uint32_t>(i));
    }
  }
  offsets.push_back(static_cast<uint32_t>(text.text.size()));
  std::string out;
  for (int64_t n = 0, i = first; n < count; ++n, i += stride) {
    const auto k = static_cast<size_t>(i);
    out.append(text.text, offsets[k], offsets[k + 1] - offsets[k]);
  }
  rt.produce(out.size());
  return Value::string(std::move(out), text.safe);
}

// obj[i] for sequences; false when out of range.
bool index_sequence(Runtime& rt, const Value& value, Int index, Value* out) {
  const int64_t size = length(rt, value);
  if (index < 0) index += size;
  if (index < 0 || index >= size) return false;
  const auto i = static_cast<int64_t>(index);
  if (value.is_list_or_tuple()) {
    *out = value.items()[static_cast<size_t>(i)];
  } else if (value.is(Kind::kRange)) {
    *out = Value::integer(value.range_data().start + value.range_data().step * i);
  } else {
    *out = slice_text(rt, value, i, 1, 1);
  }
  return true;
}

}  // namespace

bool find_attribute(Runtime& rt, const Value& value, std::string_view name, Value* out) {
  return own_attribute(rt, value, name, out);
}

Value get_attribute(Runtime& rt, const Value& value, std::string_view name) {
  rt.step();
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  Value out;
  if (own_attribute(rt, value, name, &out)) return out;
  if (value.is(Kind::kDict)) {
    const Value* found = value.dict_data().find(name);
    if (found != nullptr) return *found;
  }
  return missing_attribute(value, name);
}

Value get_item(Runtime& rt, const Value& value, const Value& key) {
  rt.step();
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  Value out;
  switch (value.kind()) {
    case Kind::kDict: {
      if (!is_hashable(key)) break;
      const Value* found = value.dict_data().find(rt, key);
      if (found != nullptr) return *found;
      break;
    }
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
      if (key.is_integer() && index_sequence(rt, value, key.as_integer(), &out)) return out;
      break;
    default:
      break;
  }
  if (key.is_string() && own_attribute(rt, value, key.as_text(), &out)) return out;
  return missing_element(rt, value, key);
}

Value get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  if (value.is_undefined()) rt.error("{}", value.undefined_message());
  const bool sliceable = value.is_string() || value.is_list_or_tuple() || value.is(Kind::kRange);
  if (!sliceable) rt.error("'{}' object cannot be sliced", type_name(value));
  int64_t first = 0;
  int64_t stride = 1;
  const int64_t count = slice_indices(rt, start, stop, step, length(rt, value), &first, &stride);
  if (value.is_string()) return slice_text(rt, value, first, stride, count);
  if (value.is(Kind::kRange)) {
    const RangeData& range = value.range_data();
    const Int begin = range.start + range.step * first;
    return Value::range(begin, begin + range.step * stride * count, range.step * stride, count);
  }
  rt.produce_items(static_cast<size_t>(count));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (int64_t n = 0, i = first; n < count; ++n, i += stride) {
    items.push_back(value.items()[static_cast<size_t>(i)]);
  }
  return value.is(Kind::kList) ? Value::list(rt, std::move(items))
                               : Value::tuple(rt, std::move(items));
}

Value call_value(Runtime& rt, const Value& callee, const Arguments& arguments) {
  const DepthGuard guard(rt);
  rt.step();
  if (callee.is_undefined()) rt.error("{}", callee.undefined_message());
  if (!callee.is(Kind::kObject) || !callee.as_object().is_callable()) {
    rt.error("'{}' object is not callable", type_name(callee));
  }
  // Keeps the callee alive, whatever the call does to the variable it came from.
  const Value keep = callee;
  return keep.as_object().call(rt, arguments);
}

}  // namespace headgate::jinja
