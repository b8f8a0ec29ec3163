// Matching of arguments to parameters.
#include "chat/jinja_bind.h"

#include <algorithm>
#include <limits>

namespace headgate::jinja {

Bound::Bound(Runtime& rt, std::string_view function, const Arguments& arguments,
             std::initializer_list<const char*> names, size_t required, size_t positional_only)
    : rt_(rt), function_(function), given_(names.size(), nullptr) {
  if (arguments.positional.size() > names.size()) {
    rt.error("{}() takes at most {} arguments, got {}", function_, names.size(),
             arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) given_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.keyword) {
    const auto* found = std::find(names.begin(), names.end(), name);
    const auto i = static_cast<size_t>(found - names.begin());
    if (found == names.end() || i < positional_only) {
      rt.error("{}() got an unexpected keyword argument '{}'", function_, name);
    }
    if (given_[i] != nullptr) {
      rt.error("{}() got multiple values for argument '{}'", function_, name);
    }
    given_[i] = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (given_[i] == nullptr) {
      rt.error("{}() misses its argument '{}'", function_, *(names.begin() + i));
    }
  }
}

const std::string& Bound::text(size_t i) const {
  if (!get(i).is_string()) {
    rt_.error("{}(): argument {} is a {}, expected a str", function_, i + 1, type_name(get(i)));
  }
  return get(i).as_text();
}

std::string Bound::text(size_t i, std::string_view fallback) const {
  return has(i) ? text(i) : std::string(fallback);
}

Int Bound::integer(size_t i, Int fallback) const {
  if (!has(i)) return fallback;
  if (get(i).is_undefined()) rt_.error("{}", get(i).undefined_message());
  if (!get(i).is_integer()) {
    rt_.error("{}(): argument {} is a {}, expected an int", function_, i + 1, type_name(get(i)));
  }
  return get(i).as_integer();
}

bool Bound::truth(size_t i, bool fallback) const {
  return has(i) ? jinja::truth(get(i)) : fallback;
}

int64_t clamp_integer(Int value) {
  const Int low = std::numeric_limits<int64_t>::min();
  const Int high = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp(value, low, high));
}

}  // namespace headgate::jinja
