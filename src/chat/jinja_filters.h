// The filters and tests that templates may use by name.
#pragma once

#include <string_view>

#include "chat/jinja_value.h"

namespace headgate::jinja {

using Filter = Value (*)(Runtime& rt, const Value& value, const Arguments& arguments);
using Test = bool (*)(Runtime& rt, const Value& value, const Arguments& arguments);

// nullptr when there is none of that name. A filter that exists in Jinja but not here is found; it
// fails when called.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);

// The parts find_filter looks into.
Filter find_text_filter(std::string_view name);
Filter find_list_filter(std::string_view name);
Filter find_number_filter(std::string_view name);

// The attribute itself, without falling back to a dict's key; false when there is none.
bool find_attribute(Runtime& rt, const Value& value, std::string_view name, Value* out);

// Looks up "a.b.0" in an item: names and numbers between dots.
Value follow_path(Runtime& rt, const Value& item, const Value& path, const Value& fallback);

// str() that keeps text as it is
Value soft_text(Runtime& rt, const Value& value);

}  // namespace headgate::jinja
