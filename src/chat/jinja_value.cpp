// Making values, dict lookup, truth, length and iteration.
#include "chat/jinja_value.h"

#include <algorithm>
#include <functional>

#include "base/utf8.h"

namespace headgate::jinja {
namespace {

// Deeper containers are refused, so that walking or freeing one cannot exhaust the stack.
constexpr int kMaxContainerDepth = 200;
// Dicts up to this size are searched one by one.
constexpr size_t kLinearDict = 8;

int depth_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kList:
    case Kind::kTuple:
      return value.list_data().depth;
    case Kind::kDict:
      return value.dict_data().depth;
    case Kind::kView:
      return 1 + depth_of(view_data(value).dict);
    default:
      return 0;
  }
}

int container_depth(Runtime& rt, int deepest_item) {
  const int depth = deepest_item + 1;
  if (depth > kMaxContainerDepth) rt.out_of("levels of containers", kMaxContainerDepth);
  return depth;
}

int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::shared_ptr<ListData> make_list(Runtime& rt, std::vector<Value> items) {
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, depth_of(item));
  rt.produce_items(items.size());
  auto data = std::make_shared<ListData>();
  data->depth = container_depth(rt, deepest);
  data->hashable = std::all_of(items.begin(), items.end(), is_hashable);
  data->items = std::move(items);
  return data;
}

}  // namespace

bool Object::attribute(Runtime&, std::string_view, Value*) { return false; }
Value Object::call(Runtime& rt, const Arguments&) {
  rt.error("'{}' object is not callable", type_name());
}

Value Value::undefined(std::string message) {
  Value v;
  v.kind_ = Kind::kUndefined;
  v.data_ = std::make_shared<UndefinedData>(UndefinedData{std::move(message)});
  return v;
}
Value Value::boolean(bool value) {
  Value v;
  v.kind_ = Kind::kBool;
  v.integer_ = value ? 1 : 0;
  return v;
}
Value Value::integer(Int value) {
  Value v;
  v.kind_ = Kind::kInt;
  v.integer_ = value;
  return v;
}
Value Value::number(double value) {
  Value v;
  v.kind_ = Kind::kFloat;
  v.number_ = value;
  return v;
}
Value Value::string(std::string text, bool safe) {
  Value v;
  v.kind_ = Kind::kString;
  auto data = std::make_shared<StringData>();
  data->length = count_code_points(text);
  data->text = std::move(text);
  data->safe = safe;
  v.data_ = std::move(data);
  return v;
}
Value Value::list(Runtime& rt, std::vector<Value> items) {
  Value v;
  v.kind_ = Kind::kList;
  v.data_ = make_list(rt, std::move(items));
  return v;
}
Value Value::tuple(Runtime& rt, std::vector<Value> items, bool is_group) {
  Value v;
  v.kind_ = Kind::kTuple;
  auto data = make_list(rt, std::move(items));
  data->is_group = is_group;
  v.data_ = std::move(data);
  return v;
}
Value Value::dict(std::shared_ptr<DictData> data) {
  Value v;
  v.kind_ = Kind::kDict;
  v.data_ = std::move(data);
  return v;
}
Value Value::range(Int start, Int stop, Int step, int64_t length) {
  Value v;
  v.kind_ = Kind::kRange;
  v.data_ = std::make_shared<RangeData>(RangeData{start, stop, step, length});
  return v;
}
Value Value::view(const Value& dict, std::string_view name, std::vector<Value> items) {
  Value v;
  v.kind_ = Kind::kView;
  v.data_ = std::make_shared<ViewData>(ViewData{std::string(name), std::move(items), dict});
  return v;
}
Value Value::generator(std::vector<Value> items) {
  Value v;
  v.kind_ = Kind::kGenerator;
  v.data_ = std::make_shared<GeneratorData>(GeneratorData{std::move(items), 0});
  return v;
}
Value Value::object(std::shared_ptr<Object> object) {
  Value v;
  v.kind_ = Kind::kObject;
  v.data_ = std::move(object);
  return v;
}

Value Value::from_json(Runtime& rt, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return {};
    case json::kind::bool_:
      return boolean(value.get_bool());
    case json::kind::int64:
      return integer(value.get_int64());
    case json::kind::uint64:
      return integer(static_cast<Int>(value.get_uint64()));
    case json::kind::double_:
      return number(value.get_double());
    case json::kind::string: {
      const auto& text = value.get_string();
      rt.produce(text.size());
      return string(std::string(text.data(), text.size()));
    }
    case json::kind::array: {
      std::vector<Value> items;
      items.reserve(value.get_array().size());
      for (const json::value& item : value.get_array()) items.push_back(from_json(rt, item));
      return list(rt, std::move(items));
    }
    case json::kind::object: {
      auto data = std::make_shared<DictData>();
      for (const auto& member : value.get_object()) {
        rt.produce(member.key().size());
        data->set(rt, string(std::string(member.key())), from_json(rt, member.value()));
      }
      return dict(std::move(data));
    }
  }
  return {};
}

int64_t DictData::position(Runtime& rt, const Value& key, size_t hash) const {
  if (items.size() <= kLinearDict) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (equal(rt, items[i].first, key)) return static_cast<int64_t>(i);
    }
    return -1;
  }
  const auto found = index_.equal_range(hash);
  for (auto it = found.first; it != found.second; ++it) {
    rt.step();
    if (equal(rt, items[it->second].first, key)) return it->second;
  }
  return -1;
}

const Value* DictData::find(Runtime& rt, const Value& key) const {
  const int64_t i = position(rt, key, hash_value(rt, key));
  return i < 0 ? nullptr : &items[static_cast<size_t>(i)].second;
}

const Value* DictData::find(std::string_view key) const {
  if (items.size() <= kLinearDict) {
    for (const auto& [k, v] : items) {
      if (k.is_string() && k.as_text() == key) return &v;
    }
    return nullptr;
  }
  const auto found = index_.equal_range(std::hash<std::string_view>{}(key));
  for (auto it = found.first; it != found.second; ++it) {
    const auto& item = items[it->second];
    if (item.first.is_string() && item.first.as_text() == key) return &item.second;
  }
  return nullptr;
}

void DictData::set(Runtime& rt, Value key, Value value) {
  if (!is_hashable(key)) rt.error("unhashable type: '{}'", type_name(key));
  rt.produce_items(1);
  depth = std::max(depth, container_depth(rt, std::max(depth_of(key), depth_of(value))));
  const size_t hash = hash_value(rt, key);
  const int64_t i = position(rt, key, hash);
  if (i >= 0) {
    items[static_cast<size_t>(i)].second = std::move(value);
    return;
  }
  items.emplace_back(std::move(key), std::move(value));
  if (items.size() == kLinearDict + 1) {
    for (size_t k = 0; k < items.size(); ++k) {
      index_.emplace(hash_value(rt, items[k].first), static_cast<uint32_t>(k));
    }
  } else if (items.size() > kLinearDict) {
    index_.emplace(hash, static_cast<uint32_t>(items.size() - 1));
  }
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.string_data().safe ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kView:
      return view_data(value).name == "items"  ? "dict_items"
             : view_data(value).name == "keys" ? "dict_keys"
                                               : "dict_values";
    case Kind::kGenerator:
      return "generator";
    case Kind::kObject:
      return value.as_object().type_name();
  }
  return "object";
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_integer() != 0;
    case Kind::kFloat:
      return value.as_double() != 0;
    case Kind::kString:
      return !value.as_text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.dict_data().items.empty();
    case Kind::kRange:
      return value.range_data().length != 0;
    case Kind::kView:
      return !view_data(value).items.empty();
    case Kind::kGenerator:
    case Kind::kObject:
      return true;
  }
  return true;
}

int64_t length(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return value.string_data().length;
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict_data().items.size());
    case Kind::kRange:
      return value.range_data().length;
    case Kind::kView:
      return static_cast<int64_t>(view_data(value).items.size());
    case Kind::kObject: {
      Value count;
      if (value.as_object().type_name() == "LoopContext" &&
          value.as_object().attribute(rt, "length", &count)) {
        return static_cast<int64_t>(count.as_integer());
      }
      break;
    }
    default:
      break;
  }
  rt.error("object of type '{}' has no len()", type_name(value));
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return false;
    case Kind::kObject:
      return value.as_object().type_name() == "LoopContext";
    default:
      return true;
  }
}

std::vector<Value> iterate(Runtime& rt, const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kString: {
      const std::string& text = value.as_text();
      rt.produce_items(static_cast<size_t>(value.string_data().length));
      items.reserve(static_cast<size_t>(value.string_data().length));
      for (size_t i = 0; i < text.size();) {
        const auto bytes = static_cast<size_t>(decode_utf8(text, i).bytes);
        items.push_back(Value::string(text.substr(i, bytes)));
        i += bytes;
      }
      break;
    }
    case Kind::kList:
    case Kind::kTuple:
      rt.produce_items(value.items().size());
      items = value.items();
      break;
    case Kind::kDict:
      rt.produce_items(value.dict_data().items.size());
      for (const auto& item : value.dict_data().items) items.push_back(item.first);
      break;
    case Kind::kRange: {
      const RangeData& range = value.range_data();
      rt.produce_items(static_cast<size_t>(range.length));
      for (int64_t i = 0; i < range.length; ++i) {
        items.push_back(Value::integer(range.start + i * range.step));
      }
      break;
    }
    case Kind::kView:
      rt.produce_items(view_data(value).items.size());
      items = view_data(value).items;
      break;
    case Kind::kGenerator: {
      GeneratorData& generator = value.generator_data();
      rt.produce_items(generator.items.size() - generator.next);
      items.assign(generator.items.begin() + static_cast<std::ptrdiff_t>(generator.next),
                   generator.items.end());
      generator.next = generator.items.size();
      break;
    }
    default:
      rt.error("'{}' object is not iterable", type_name(value));
  }
  return items;
}

}  // namespace headgate::jinja
