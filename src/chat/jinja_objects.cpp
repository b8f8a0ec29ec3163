// Namespaces, loops and the global functions.
#include "chat/jinja_objects.h"

#include <algorithm>
#include <array>

#include "chat/jinja_bind.h"
#include "chat/jinja_text.h"

namespace headgate::jinja {
namespace {

// dict(mapping_or_pairs, **more)
std::shared_ptr<DictData> build_dict(Runtime& rt, const Arguments& arguments) {
  auto dict = std::make_shared<DictData>();
  if (arguments.positional.size() > 1) rt.error("dict() takes at most 1 positional argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.dict_data().items) dict->set(rt, key, value);
    } else {
      for (const Value& pair : iterate(rt, source)) {
        const std::vector<Value> both = iterate(rt, pair);
        if (both.size() != 2) rt.error("dict() expects pairs of key and value");
        dict->set(rt, both[0], both[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.keyword) dict->set(rt, Value::string(name), value);
  return dict;
}

Value make_range(Runtime& rt, const Arguments& arguments) {
  const Bound bound(rt, "range", arguments, {"start", "stop", "step"}, 1, 3);
  const bool one = !bound.has(1);
  const Int start = one ? 0 : bound.integer(0, 0);
  const Int stop = one ? bound.integer(0, 0) : bound.integer(1, 0);
  const Int step = bound.integer(2, 1);
  if (step == 0) rt.error("range() arg 3 must not be zero");
  // Bounds far outside would overflow the subtraction; the length limit refuses them anyway.
  const Int far = Int{1} << 100;
  if (start > far || start < -far || stop > far || stop < -far) {
    rt.error("range() argument too large");
  }
  Int length = 0;
  if (step > 0 && stop > start) length = (stop - start - 1) / step + 1;
  if (step < 0 && start > stop) length = (start - stop - 1) / -step + 1;
  if (length > rt.limits().range_items) {
    rt.error("Range too big: {} items, expected at most {}", length, rt.limits().range_items);
  }
  return Value::range(start, stop, step, static_cast<int64_t>(length));
}

Value format_time(Runtime& rt, const Arguments& arguments) {
  const Bound bound(rt, "strftime_now", arguments, {"format"}, 1);
  const std::string& format = bound.text(0);
  if (format.empty()) return Value::string("");
  if (format.size() > 1000) rt.error("strftime_now: the format is too long");
  std::tm local{};
  const std::time_t now = rt.now();
  ::localtime_r(&now, &local);
  std::array<char, 16384> buffer{};
  const size_t bytes = std::strftime(buffer.data(), buffer.size(), format.c_str(), &local);
  return Value::string(std::string(buffer.data(), bytes));
}

Value raise(Runtime& rt, const Arguments& arguments) {
  const Bound bound(rt, "raise_exception", arguments, {"message"}, 1);
  rt.error("{}", to_text(rt, bound.get(0)));
}

class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}

  std::string_view type_name() const override { return "Cycler"; }
  std::string repr(Runtime&) const override { return "<Cycler>"; }
  bool attribute(Runtime&, std::string_view name, Value* out) override {
    if (name == "current") {
      *out = items_[at_];
      return true;
    }
    if (name != "next" && name != "reset") return false;
    const bool moves = name == "next";
    *out = make_function(std::string(name), [self = shared_from_this(), moves](
                                                Runtime& rt, const Arguments& arguments) {
      const Bound bound(rt, "cycler", arguments, {});
      const Value item = self->items_[self->at_];
      self->at_ = moves ? (self->at_ + 1) % self->items_.size() : 0;
      return moves ? item : Value();
    });
    return true;
  }

 private:
  std::vector<Value> items_;
  size_t at_ = 0;
};

class Joiner : public Object {
 public:
  explicit Joiner(std::string separator) : separator_(std::move(separator)) {}

  std::string_view type_name() const override { return "Joiner"; }
  std::string repr(Runtime&) const override { return "<Joiner>"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& rt, const Arguments& arguments) override {
    const Bound bound(rt, "joiner", arguments, {});
    const bool first = !used_;
    used_ = true;
    return Value::string(first ? std::string() : separator_);
  }

 private:
  std::string separator_;
  bool used_ = false;
};

}  // namespace

Value make_function(std::string name, Function::Body body) {
  return Value::object(std::make_shared<Function>(std::move(name), std::move(body)));
}

std::string Namespace::repr(Runtime& rt) const {
  const DepthGuard guard(rt);
  std::string out = "<Namespace {";
  for (size_t i = 0; i < attributes_.size(); ++i) {
    if (i > 0) out += ", ";
    out += to_repr(rt, Value::string(attributes_[i].first)) + ": " +
           to_repr(rt, attributes_[i].second);
  }
  return out + "}>";
}

bool Namespace::attribute(Runtime& rt, std::string_view name, Value* out) {
  rt.step(static_cast<int64_t>(attributes_.size() / 16));
  for (const auto& [key, value] : attributes_) {
    if (key != name) continue;
    *out = value;
    return true;
  }
  return false;
}

void Namespace::set(Runtime& rt, const std::string& name, Value value) {
  if (!name.empty() && name[0] == '_') {
    rt.error("cannot store the underscore-prefixed attribute '{}' on a namespace", name);
  }
  rt.step(static_cast<int64_t>(attributes_.size() / 16));
  for (auto& [key, old] : attributes_) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  rt.produce_items(1);
  attributes_.emplace_back(name, std::move(value));
}

const std::optional<Value>& Loop::peek() {
  while (!peeked_ && next_ < items_.size()) {
    Value& item = items_[next_++];
    if (!accept_ || accept_(&item)) peeked_ = item;
  }
  return peeked_;
}

bool Loop::advance() {
  if (!peek()) return false;
  previous_ = std::move(current_);
  current_ = std::move(*peeked_);
  peeked_.reset();
  ++index0_;
  return true;
}

void Loop::finish() {
  finished_ = true;
  changed_.clear();
  accept_ = nullptr;
  recurse_ = nullptr;
}

int64_t Loop::count() {
  if (length_ >= 0) return length_;
  if (!accept_) return length_ = static_cast<int64_t>(items_.size());
  std::vector<Value> rest;
  while (peek()) {
    rest.push_back(std::move(*peeked_));
    peeked_.reset();
  }
  accept_ = nullptr;
  length_ = index0_ + 1 + static_cast<int64_t>(rest.size());
  items_ = std::move(rest);
  next_ = 0;
  return length_;
}

std::string Loop::repr(Runtime&) const {
  return fmt::format("<LoopContext {}/{}>", index0_ + 1, items_.size());
}

Value Loop::method(std::string_view name) {
  auto self = shared_from_this();
  if (name == "cycle") {
    return make_function("cycle", [self](Runtime& rt, const Arguments& arguments) {
      if (arguments.positional.empty() || !arguments.keyword.empty()) {
        rt.error("no items for cycling given");
      }
      return arguments.positional[static_cast<size_t>(self->index0_) % arguments.positional.size()];
    });
  }
  return make_function("changed", [self](Runtime& rt, const Arguments& arguments) {
    if (!arguments.keyword.empty()) rt.error("changed() takes no keyword arguments");
    const std::vector<Value>& now = arguments.positional;
    const bool same = self->changed_called_ && now.size() == self->changed_.size() &&
                      std::equal(now.begin(), now.end(), self->changed_.begin(),
                                 [&](const Value& a, const Value& b) { return equal(rt, a, b); });
    self->changed_called_ = true;
    // Not after the end: the loop might hold itself, and never be freed.
    if (!self->finished_) self->changed_ = now;
    return Value::boolean(!same);
  });
}

bool Loop::attribute(Runtime&, std::string_view name, Value* out) {
  if (name == "index") {
    *out = Value::integer(index0_ + 1);
  } else if (name == "index0") {
    *out = Value::integer(index0_);
  } else if (name == "first") {
    *out = Value::boolean(index0_ == 0);
  } else if (name == "last") {
    *out = Value::boolean(!peek());
  } else if (name == "length") {
    *out = Value::integer(count());
  } else if (name == "revindex") {
    *out = Value::integer(count() - index0_);
  } else if (name == "revindex0") {
    *out = Value::integer(count() - index0_ - 1);
  } else if (name == "previtem") {
    *out = index0_ == 0 ? Value::undefined("there is no previous item") : previous_;
  } else if (name == "nextitem") {
    *out = peek() ? *peeked_ : Value::undefined("there is no next item");
  } else if (name == "depth" || name == "depth0") {
    *out = Value::integer(name == "depth" ? depth0_ + 1 : depth0_);
  } else if (name == "cycle" || name == "changed") {
    *out = method(name);
  } else {
    return false;
  }
  return true;
}

Value Loop::call(Runtime& rt, const Arguments& arguments) {
  const Bound bound(rt, "loop", arguments, {"iterable"}, 1);
  if (!recurse_) {
    rt.error("The loop must have the 'recursive' marker to be called recursively.");
  }
  return recurse_(bound.get(0), depth0_ + 1);
}

NamespaceRegistry::~NamespaceRegistry() {
  for (const auto& ns : namespaces_) ns->clear();
}

std::shared_ptr<Namespace> NamespaceRegistry::make() {
  return namespaces_.emplace_back(std::make_shared<Namespace>());
}

std::optional<Value> make_global(std::string_view name,
                                 const std::shared_ptr<NamespaceRegistry>& registry) {
  if (name == "range") return make_function("range", make_range);
  if (name == "raise_exception") return make_function("raise_exception", raise);
  if (name == "strftime_now") return make_function("strftime_now", format_time);
  if (name == "dict") {
    return make_function("dict", [](Runtime& rt, const Arguments& arguments) {
      return Value::dict(build_dict(rt, arguments));
    });
  }
  if (name == "namespace") {
    // Weak: a namespace may hold this function.
    return make_function("namespace", [weak = std::weak_ptr<NamespaceRegistry>(registry)](
                                          Runtime& rt, const Arguments& arguments) {
      rt.produce_items(2);
      const std::shared_ptr<Namespace> ns = weak.lock()->make();
      const std::shared_ptr<DictData> given = build_dict(rt, arguments);
      for (const auto& [key, value] : given->items) {
        ns->set(rt, to_text(rt, key), value);
      }
      return Value::object(ns);
    });
  }
  if (name == "cycler") {
    return make_function("cycler", [](Runtime& rt, const Arguments& arguments) {
      if (arguments.positional.empty() || !arguments.keyword.empty()) {
        rt.error("at least one item has to be provided");
      }
      return Value::object(std::make_shared<Cycler>(arguments.positional));
    });
  }
  if (name == "joiner") {
    return make_function("joiner", [](Runtime& rt, const Arguments& arguments) {
      const Bound bound(rt, "joiner", arguments, {"sep"});
      return Value::object(std::make_shared<Joiner>(bound.text(0, ", ")));
    });
  }
  return std::nullopt;
}

}  // namespace headgate::jinja
