// Arguments of a call matched to parameter names, as Python would.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja_value.h"

namespace headgate::jinja {

class Bound {
 public:
  // Fails when there are too many arguments, an unknown or repeated name, or fewer than `required`.
  // Names before `positional_only` may not be given as keywords.
  Bound(Runtime& rt, std::string_view function, const Arguments& arguments,
        std::initializer_list<const char*> names, size_t required = 0, size_t positional_only = 0);

  bool has(size_t i) const { return given_[i] != nullptr; }
  const Value& get(size_t i) const { return *given_[i]; }
  // None counts as not given.
  bool has_value(size_t i) const { return has(i) && !get(i).is_none(); }
  Value value(size_t i, Value fallback = {}) const { return has(i) ? get(i) : fallback; }
  // Fail when the argument has another type.
  const std::string& text(size_t i) const;
  std::string text(size_t i, std::string_view fallback) const;
  Int integer(size_t i, Int fallback) const;
  bool truth(size_t i, bool fallback) const;

 private:
  Runtime& rt_;
  std::string function_;
  std::vector<const Value*> given_;
};

// A number as a size: clamped to 64 bits.
int64_t clamp_integer(Int value);

}  // namespace headgate::jinja
