// Values of the template language: the immutable Python types a chat template can see.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "chat/jinja_runtime.h"

namespace headgate::jinja {

// Python's integers have no end; ours have 128 bits and overflow is an error.
using Int = __int128;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,       // what dict.keys(), .values(), .items() return: has a length, no index
  kGenerator,  // what map, select, items... return: can be read once
  kObject      // callables, namespaces, loops: they behave by their virtual functions
};

class Value;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;
};

// What a Value of kind kObject points to.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;
  virtual std::string repr(Runtime& rt) const = 0;
  // Sets `out` and returns true when the object has the attribute.
  virtual bool attribute(Runtime& rt, std::string_view name, Value* out);
  virtual bool is_callable() const { return false; }
  virtual Value call(Runtime& rt, const Arguments& arguments);
};

struct StringData {
  std::string text;    // UTF-8
  int64_t length = 0;  // code points; equal to text.size() when all ASCII
  bool safe = false;   // Markup: came from |safe or |escape
};
struct ListData {
  std::vector<Value> items;
  int depth = 1;          // levels of containers, this one included
  bool hashable = true;   // of a tuple: all items are
  bool is_group = false;  // what groupby yields: has .grouper and .list
};
struct DictData;
struct RangeData {
  Int start, stop, step;
  int64_t length;
};
struct GeneratorData {
  std::vector<Value> items;
  size_t next = 0;
};
struct UndefinedData {
  std::string message;
};

class Value {
 public:
  Value() : kind_(Kind::kNone) {}

  static Value undefined(std::string message);
  static Value boolean(bool value);
  static Value integer(Int value);
  static Value number(double value);
  static Value string(std::string text, bool safe = false);
  static Value list(Runtime& rt, std::vector<Value> items);
  static Value tuple(Runtime& rt, std::vector<Value> items, bool is_group = false);
  static Value dict(std::shared_ptr<DictData> data);
  static Value range(Int start, Int stop, Int step, int64_t length);
  static Value view(const Value& dict, std::string_view name, std::vector<Value> items);
  static Value generator(std::vector<Value> items);
  static Value object(std::shared_ptr<Object> object);
  // Deep copy of a JSON document; charged to `rt`.
  static Value from_json(Runtime& rt, const json::value& value);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  // int or bool, which counts as one
  bool is_integer() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integer() || kind_ == Kind::kFloat; }
  bool is_list_or_tuple() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  bool as_bool() const { return integer_ != 0; }
  Int as_integer() const { return integer_; }
  double as_double() const {
    return kind_ == Kind::kFloat ? number_ : static_cast<double>(integer_);
  }
  const std::string& as_text() const { return string_data().text; }
  const StringData& string_data() const { return *static_cast<const StringData*>(data_.get()); }
  const ListData& list_data() const { return *static_cast<const ListData*>(data_.get()); }
  const std::vector<Value>& items() const { return list_data().items; }
  const DictData& dict_data() const { return *static_cast<const DictData*>(data_.get()); }
  const RangeData& range_data() const { return *static_cast<const RangeData*>(data_.get()); }
  GeneratorData& generator_data() const { return *static_cast<GeneratorData*>(data_.get()); }
  const std::string& undefined_message() const {
    return static_cast<const UndefinedData*>(data_.get())->message;
  }
  Object& as_object() const { return *static_cast<Object*>(data_.get()); }
  const void* identity() const { return data_.get(); }
  const std::shared_ptr<void>& data() const { return data_; }

 private:
  Kind kind_;
  double number_ = 0;
  Int integer_ = 0;
  std::shared_ptr<void> data_;
};

struct ViewData {
  std::string name;  // "keys", "values", "items"
  std::vector<Value> items;
  Value dict;
};
inline const ViewData& view_data(const Value& value) {
  return *static_cast<const ViewData*>(value.data().get());
}

// A dict that keeps the order of insertion. Built once, then never changed.
struct DictData {
  std::vector<std::pair<Value, Value>> items;
  int depth = 1;

  const Value* find(Runtime& rt, const Value& key) const;  // the key must be hashable
  const Value* find(std::string_view key) const;
  void set(Runtime& rt, Value key, Value value);

 private:
  std::unordered_multimap<size_t, uint32_t> index_;  // filled beyond a few items
  int64_t position(Runtime& rt, const Value& key, size_t hash) const;
};

// --- what Python's operators and built-in functions do ---

std::string_view type_name(const Value& value);
bool truth(const Value& value);
bool is_hashable(const Value& value);
size_t hash_value(Runtime& rt, const Value& value);
bool equal(Runtime& rt, const Value& a, const Value& b);
// a < b, as sorting needs it. Fails for types that have no order.
bool less(Runtime& rt, const Value& a, const Value& b);
// < <= > >= by the operator's spelling
bool ordered(Runtime& rt, std::string_view op, const Value& a, const Value& b);
bool contains(Runtime& rt, const Value& container, const Value& item);

// len(); fails for what has none
int64_t length(Runtime& rt, const Value& value);
// The items a for loop visits; a generator is used up. Fails for what cannot be iterated.
std::vector<Value> iterate(Runtime& rt, const Value& value);
bool is_iterable(const Value& value);

// str() and repr()
std::string to_text(Runtime& rt, const Value& value);
std::string to_repr(Runtime& rt, const Value& value);
std::string integer_text(Int value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool multi_line = false;
  std::string indent;
  std::string comma = ", ";
  std::string colon = ": ";
  bool sort_keys = false;
};
std::string to_json(Runtime& rt, const Value& value, const JsonStyle& style);

// a.name, a[key] and a[start:stop:step] of the sandbox
Value get_attribute(Runtime& rt, const Value& value, std::string_view name);
Value get_item(Runtime& rt, const Value& value, const Value& key);
Value get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop,
                const Value& step);
Value call_value(Runtime& rt, const Value& callee, const Arguments& arguments);

// + - * / // % ** by the operator's spelling
Value arithmetic(Runtime& rt, std::string_view op, const Value& a, const Value& b);
Value negate(Runtime& rt, const Value& value, bool negative);

}  // namespace headgate::jinja
