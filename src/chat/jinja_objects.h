// Objects with behaviour that templates meet: namespaces, loops, macros, global functions.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja_value.h"

namespace headgate::jinja {

// A function of the environment, or a method of one of the objects below.
class Function : public Object {
 public:
  using Body = std::function<Value(Runtime&, const Arguments&)>;
  Function(std::string name, Body body) : name_(std::move(name)), body_(std::move(body)) {}

  std::string_view type_name() const override { return "function"; }
  std::string repr(Runtime&) const override { return "<function " + name_ + ">"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& rt, const Arguments& arguments) override { return body_(rt, arguments); }

 private:
  std::string name_;
  Body body_;
};

Value make_function(std::string name, Function::Body body);

// The only thing a template can change: {% set ns.name = value %}.
class Namespace : public Object {
 public:
  std::string_view type_name() const override { return "Namespace"; }
  std::string repr(Runtime& rt) const override;
  bool attribute(Runtime& rt, std::string_view name, Value* out) override;
  // Names that begin with an underscore are refused.
  void set(Runtime& rt, const std::string& name, Value value);
  void clear() { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
};

// The variable `loop`, and the iteration itself. Items are fetched when they are needed, so that a
// condition sees what the body has changed so far.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  using Accept = std::function<bool(Value* item)>;
  using Recurse = std::function<Value(const Value& items, int depth)>;
  // `accept` and `recurse` may be empty.
  Loop(std::vector<Value> items, int depth0, Accept accept, Recurse recurse)
      : items_(std::move(items)),
        depth0_(depth0),
        accept_(std::move(accept)),
        recurse_(std::move(recurse)) {}

  // Moves to the next item; false at the end.
  bool advance();
  const Value& current() const { return current_; }
  // Drops what refers to the template's variables; the loop is over.
  void finish();

  std::string_view type_name() const override { return "LoopContext"; }
  std::string repr(Runtime& rt) const override;
  bool attribute(Runtime& rt, std::string_view name, Value* out) override;
  bool is_callable() const override { return true; }
  Value call(Runtime& rt, const Arguments& arguments) override;

 private:
  const std::optional<Value>& peek();
  int64_t count();
  Value method(std::string_view name);

  std::vector<Value> items_;
  size_t next_ = 0;
  int depth0_;
  Accept accept_;
  Recurse recurse_;
  int64_t index0_ = -1;
  int64_t length_ = -1;
  Value current_;
  Value previous_;
  std::optional<Value> peeked_;
  bool finished_ = false;
  bool changed_called_ = false;
  std::vector<Value> changed_;
};

// Keeps the namespaces of one rendering, to take their contents apart at its end: they may refer to
// each other in circles.
class NamespaceRegistry {
 public:
  ~NamespaceRegistry();
  std::shared_ptr<Namespace> make();

 private:
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; nullopt for other names.
std::optional<Value> make_global(std::string_view name,
                                 const std::shared_ptr<NamespaceRegistry>& registry);

}  // namespace headgate::jinja
