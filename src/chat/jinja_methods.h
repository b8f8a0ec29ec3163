// The methods of built-in types that a template may call.
#pragma once

#include <string_view>

#include "chat/jinja_value.h"

namespace headgate::jinja {

using Method = Value (*)(Runtime& rt, const Value& self, const Arguments& arguments);

// nullptr when the type has no such method.
Method find_string_method(std::string_view name);
Method find_container_method(Kind kind, std::string_view name);

// A method that would change a list or dict in place: the sandbox hides it.
bool is_mutating_method(Kind kind, std::string_view name);

}  // namespace headgate::jinja
