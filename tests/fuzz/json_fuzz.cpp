// Fuzzes the JSON door: any text is a value that survives being written and read again, or one
// Error.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace {

// Boost.JSON 1.81 may read a long decimal fraction one bit off, and 1e999 as infinity, which JSON
// cannot say: a fraction need not survive.
bool has_fraction(const headgate::json::value& value) {
  if (const auto* array = value.if_array()) {
    return std::any_of(array->begin(), array->end(), has_fraction);
  }
  if (const auto* object = value.if_object()) {
    return std::any_of(object->begin(), object->end(),
                       [](const auto& item) { return has_fraction(item.value()); });
  }
  return value.is_double();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  headgate::JsonLimits limits;
  limits.reject_duplicate_keys = size % 2 == 1;
  headgate::json::value value;
  try {
    value = headgate::parse_json(text, "fuzz", limits);
  } catch (const headgate::Error&) {
    return 0;
  }
  const std::string compact = headgate::dump_json(value);
  const std::string python = headgate::dump_json_python(value, size % 3 == 0 ? 2 : -1);
  if (has_fraction(value)) {
    return 0;
  }
  HEADGATE_CHECK(headgate::parse_json(compact, "compact") == value);
  HEADGATE_CHECK(headgate::parse_json(python, "python") == value);
  return 0;
}
