// Input items of the Responses API to messages.
#include "base/error.h"
#include "control/secret.h"
#include "server/openai/responses.h"

namespace headgate {
namespace {

const json::value* member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string text_member(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  return value != nullptr && value->is_string() ? std::string(text_view(value->get_string())) : "";
}

std::string parts_text(const json::value* content, const std::string& path) {
  if (content == nullptr) return {};
  if (content->is_string()) return std::string(text_view(content->get_string()));
  if (!content->is_array()) refuse_field(path, "{}: expected a string or an array of parts", path);
  std::string out;
  for (const json::value& part : content->get_array()) {
    const json::object* object = part.if_object();
    const std::string type = object != nullptr ? text_member(*object, "type") : "";
    if (type == "input_text" || type == "output_text" || type == "text" ||
        type == "reasoning_text" || type == "summary_text") {
      out += text_member(*object, "text");
    } else if (type == "refusal") {
      out += text_member(*object, "refusal");
    } else {
      throw ApiError(
          400, "unsupported",
          fmt::format("{}: parts of type \"{}\" are not supported", path, type.substr(0, 40)),
          path);
    }
  }
  return out;
}

// The assistant's message at the end of `out`, to which calls and reasoning belong.
json::object& open_assistant(json::array& out) {
  if (!out.empty()) {
    json::object& last = out.back().get_object();
    if (text_member(last, "role") == "assistant" && last.contains("open")) return last;
  }
  out.push_back(json::object{{"role", "assistant"}, {"content", ""}, {"open", true}});
  return out.back().get_object();
}

void append_item(const json::object& item, const std::string& path, json::array& out) {
  const std::string type = text_member(item, "type");
  if (type == "function_call") {
    json::object& message = open_assistant(out);
    if (!message.contains("tool_calls")) message["tool_calls"] = json::array();
    message["tool_calls"].get_array().push_back(
        json::object{{"id", text_member(item, "call_id")},
                     {"type", "function"},
                     {"function", json::object{{"name", text_member(item, "name")},
                                               {"arguments", text_member(item, "arguments")}}}});
  } else if (type == "function_call_output") {
    out.push_back(json::object{{"role", "tool"},
                               {"tool_call_id", text_member(item, "call_id")},
                               {"content", parts_text(member(item, "output"), path + ".output")}});
  } else if (type == "reasoning") {
    const std::string text = parts_text(member(item, "content"), path + ".content");
    if (!text.empty()) open_assistant(out)["reasoning_content"] = text;
  } else if (type == "message" || type.empty()) {
    const std::string role = text_member(item, "role");
    const std::string text = parts_text(member(item, "content"), path + ".content");
    if (role == "assistant") {
      open_assistant(out)["content"] = text;
    } else {
      out.push_back(json::object{{"role", role}, {"content", text}});
    }
  } else {
    throw ApiError(
        400, "unsupported",
        fmt::format("{}: items of type \"{}\" are not supported", path, type.substr(0, 40)), path);
  }
}

}  // namespace

json::array messages_of_input(const json::value& input) {
  json::array out;
  if (input.is_string()) {
    out.push_back(json::object{{"role", "user"}, {"content", input}});
    return out;
  }
  if (!input.is_array()) refuse_field("input", "input: expected a string or an array of items");
  for (size_t i = 0; i < input.get_array().size(); ++i) {
    const std::string path = fmt::format("input[{}]", i);
    const json::object* item = input.get_array()[i].if_object();
    if (item == nullptr) refuse_field(path, "{}: expected an object", path);
    append_item(*item, path, out);
  }
  for (json::value& message : out) message.get_object().erase("open");
  return out;
}

json::array items_of_input(const json::value& input) {
  json::array items;
  if (input.is_string()) {
    items.push_back(json::object{
        {"type", "message"},
        {"role", "user"},
        {"content", json::array{json::object{{"type", "input_text"}, {"text", input}}}}});
  } else {
    items = input.get_array();
  }
  for (json::value& item : items) {
    json::object& object = item.get_object();
    if (!object.contains("id")) object["id"] = "item_" + random_token(12);
    if (!object.contains("type")) object["type"] = "message";
  }
  return items;
}

json::array turned_response_tools(const json::array& tools) {
  json::array out;
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    const json::object* tool = tools[i].if_object();
    const std::string type = tool != nullptr ? text_member(*tool, "type") : "";
    if (type != "function") {
      throw ApiError(400, "unsupported",
                     fmt::format("{}.type: found \"{}\", only function tools exist here", path,
                                 type.substr(0, 40)),
                     path);
    }
    json::object function = {{"name", text_member(*tool, "name")}};
    for (const char* field : {"description", "parameters", "strict"})
      if (const json::value* value = member(*tool, field)) function[field] = *value;
    out.push_back(json::object{{"type", "function"}, {"function", std::move(function)}});
  }
  return read_tools(out, "tools");
}

}  // namespace headgate
