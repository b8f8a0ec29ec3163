// What the OpenAPI document says of answers, and of request fields that are more than a number or a
// text.
#pragma once

#include <string_view>

#include "base/json.h"

namespace headgate {

// JSON Schema of what an endpoint answers with status 200; {"type": "object"} where nothing more is
// promised.
json::object answer_shape(std::string_view pattern);

// Of one event of a stream: its data is JSON as text, or [DONE].
json::object event_shape();

// Makes the schemas of a body's fields say what is in lists and objects; `body` is that of
// schema_of().
void refine_body(std::string_view pattern, json::object& body);

}  // namespace headgate
