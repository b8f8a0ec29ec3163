// The messages of a conversation, as OpenAI-style JSON and as structs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace headgate {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text, as OpenAI clients send and expect it
};

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  std::optional<std::string> content;
  std::optional<std::string> reasoning_content;
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id;  // of the call that a tool message answers
  std::string name;
};

// The message as a template sees it. Empty fields are left out, a missing content is null.
json::object message_to_json(const Message& message);
json::array messages_to_json(const std::vector<Message>& messages);

// Checks messages that came from outside and makes them ready for a template: lists of content
// parts become one text; all other fields and their order stay as they are. `source` names the
// text in errors. Throws kInvalidArgument for what is no conversation and kUnsupported for parts
// that are not text.
json::array read_messages(const json::value& messages, std::string_view source);

// Text of an OpenAI content: a string, null (empty), or a list of {"type": "text", "text": ...}.
std::string flatten_content(const json::value& content, std::string_view source);

}  // namespace headgate
