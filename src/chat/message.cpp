// Conversions between message structs and JSON.
#include "chat/message.h"

#include "base/error.h"

namespace headgate {
namespace {

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

}  // namespace

json::object message_to_json(const Message& message) {
  json::object out;
  out["role"] = message.role;
  if (message.content) {
    out["content"] = *message.content;
  } else {
    out["content"] = nullptr;
  }
  if (message.reasoning_content) out["reasoning_content"] = *message.reasoning_content;
  if (!message.tool_calls.empty()) {
    json::array calls;
    for (const ToolCall& call : message.tool_calls) {
      json::object function;
      function["name"] = call.name;
      function["arguments"] = call.arguments;
      json::object item;
      item["id"] = call.id;
      item["type"] = "function";
      item["function"] = std::move(function);
      calls.push_back(std::move(item));
    }
    out["tool_calls"] = std::move(calls);
  }
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  if (!message.name.empty()) out["name"] = message.name;
  return out;
}

json::array messages_to_json(const std::vector<Message>& messages) {
  json::array out;
  for (const Message& message : messages) out.push_back(message_to_json(message));
  return out;
}

std::string flatten_content(const json::value& content, std::string_view source) {
  if (content.is_null()) return {};
  if (content.is_string()) return std::string(view(content.get_string()));
  if (!content.is_array()) {
    fail(ErrorCode::kInvalidArgument, "{}: found another type, expected a text or a list of parts",
         source);
  }
  std::string out;
  for (size_t i = 0; i < content.get_array().size(); ++i) {
    const json::value& part = content.get_array()[i];
    const json::object* object = part.if_object();
    const json::value* type = object != nullptr ? object->if_contains("type") : nullptr;
    const json::value* text = object != nullptr ? object->if_contains("text") : nullptr;
    if (part.is_string()) {
      out += view(part.get_string());
    } else if (text != nullptr && text->is_string()) {
      out += view(text->get_string());
    } else if (type != nullptr && type->is_string()) {
      fail(ErrorCode::kUnsupported, "{}[{}]: part of type \"{}\", expected text", source, i,
           view(type->get_string()));
    } else {
      fail(ErrorCode::kInvalidArgument, "{}[{}]: expected {{\"type\": \"text\", \"text\": ...}}",
           source, i);
    }
  }
  return out;
}

json::array read_messages(const json::value& messages, std::string_view source) {
  if (!messages.is_array()) {
    fail(ErrorCode::kInvalidArgument, "{}: expected a list of messages", source);
  }
  json::array out;
  for (size_t i = 0; i < messages.get_array().size(); ++i) {
    const json::value& item = messages.get_array()[i];
    const std::string place = fmt::format("{}[{}]", source, i);
    if (!item.is_object()) fail(ErrorCode::kInvalidArgument, "{}: expected an object", place);
    json::object message = item.get_object();
    const json::value* role = message.if_contains("role");
    if (role == nullptr || !role->is_string() || role->get_string().empty()) {
      fail(ErrorCode::kInvalidArgument, "{}: expected a \"role\"", place);
    }
    json::value* content = message.if_contains("content");
    if (content != nullptr && !content->is_string() && !content->is_null()) {
      *content = flatten_content(*content, place + ".content");
    }
    const json::value* calls = message.if_contains("tool_calls");
    if (calls != nullptr && !calls->is_array() && !calls->is_null()) {
      fail(ErrorCode::kInvalidArgument, "{}.tool_calls: expected a list", place);
    }
    out.push_back(std::move(message));
  }
  return out;
}

}  // namespace headgate
