// POST /v1/chat/completions.
#pragma once

#include <span>

#include "server/fields.h"
#include "server/router.h"

namespace headgate {

std::span<const FieldRule> chat_completion_rules();
void chat_completions(Service& service, Call& call);

// A random id with a prefix: "chatcmpl-...".
std::string make_object_id(std::string_view prefix);
int64_t unix_seconds();

// Headers of an answer that is a stream of events.
HttpResponse event_stream_head();
// "data: {...}\n\n".
std::string sse_data(const json::value& value);
// The stream ends with this error.
void end_stream_with_error(Exchange& exchange, const ApiError& error, ApiStyle style);

}  // namespace headgate
