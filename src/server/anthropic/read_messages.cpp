// Anthropic's blocks to messages with tool calls.
#include "base/error.h"
#include "server/anthropic/messages.h"

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

const json::object& object_at(const json::value& value, const std::string& path) {
  if (!value.is_object()) refuse_field(path, "{}: expected an object", path);
  return value.get_object();
}

// A text, or the texts of blocks.
std::string joined_text(const json::value& content, const std::string& path) {
  if (content.is_string()) return std::string(text_view(content.get_string()));
  if (!content.is_array()) refuse_field(path, "{}: expected a string or an array of blocks", path);
  std::string out;
  for (size_t i = 0; i < content.get_array().size(); ++i) {
    const std::string place = fmt::format("{}.{}", path, i);
    const json::object& block = object_at(content.get_array()[i], place);
    if (text_member(block, "type") != "text")
      refuse_field(place, "{}: only blocks of type \"text\" are supported here", place);
    out += text_member(block, "text");
  }
  return out;
}

// What one message's blocks amount to.
struct Gathered {
  std::string text, reasoning;
  json::array calls, results;
};

void gather_block(const json::object& block, const std::string& path, Gathered& out) {
  const std::string type = text_member(block, "type");
  if (type == "text") {
    out.text += text_member(block, "text");
  } else if (type == "thinking") {
    out.reasoning += text_member(block, "thinking");
  } else if (type == "redacted_thinking") {
    return;
  } else if (type == "tool_use") {
    const json::value* input = member(block, "input");
    if (text_member(block, "name").empty() || text_member(block, "id").empty())
      refuse_field(path, "{}: a tool_use needs id and name", path);
    out.calls.push_back(json::object{
        {"id", text_member(block, "id")},
        {"type", "function"},
        {"function",
         json::object{{"name", text_member(block, "name")},
                      {"arguments", input != nullptr ? dump_json_python(*input) : "{}"}}}});
  } else if (type == "tool_result") {
    const json::value* content = member(block, "content");
    if (text_member(block, "tool_use_id").empty())
      refuse_field(path, "{}: a tool_result needs tool_use_id", path);
    out.results.push_back(json::object{
        {"role", "tool"},
        {"tool_call_id", text_member(block, "tool_use_id")},
        {"content", content != nullptr ? joined_text(*content, path + ".content") : ""}});
  } else {
    throw ApiError(
        400, "unsupported",
        fmt::format("{}: blocks of type \"{}\" are not supported", path, type.substr(0, 40)), path);
  }
}

void append_message(const json::object& message, const std::string& path, json::array& out) {
  const std::string role = text_member(message, "role");
  if (role != "user" && role != "assistant" && role != "system")
    refuse_field(path + ".role", "{}.role: expected user or assistant", path);
  const json::value* content = member(message, "content");
  if (content == nullptr) refuse_field(path + ".content", "{}.content: missing", path);
  if (content->is_string()) {
    out.push_back(json::object{{"role", role}, {"content", *content}});
    return;
  }
  if (!content->is_array())
    refuse_field(path + ".content", "{}.content: expected a string or an array", path);
  Gathered gathered;
  for (size_t i = 0; i < content->get_array().size(); ++i) {
    const std::string place = fmt::format("{}.content.{}", path, i);
    gather_block(object_at(content->get_array()[i], place), place, gathered);
  }
  for (json::value& result : gathered.results) out.push_back(std::move(result));
  const bool only_results = role == "user" && gathered.text.empty() && !gathered.results.empty();
  if (only_results) return;
  json::object turned = {{"role", role}, {"content", gathered.text}};
  if (!gathered.reasoning.empty()) turned["reasoning_content"] = gathered.reasoning;
  if (!gathered.calls.empty()) turned["tool_calls"] = std::move(gathered.calls);
  out.push_back(std::move(turned));
}

json::array turned_tools(const json::array& tools) {
  json::array out;
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string path = fmt::format("tools.{}", i);
    const json::object& tool = object_at(tools[i], path);
    const std::string type = text_member(tool, "type");
    if (!type.empty() && type != "custom") {
      throw ApiError(
          400, "unsupported",
          fmt::format("{}.type: \"{}\" runs at the provider; only custom tools exist here", path,
                      type.substr(0, 60)),
          path);
    }
    json::object function = {{"name", text_member(tool, "name")}};
    if (const json::value* description = member(tool, "description"))
      function["description"] = *description;
    if (const json::value* schema = member(tool, "input_schema")) function["parameters"] = *schema;
    out.push_back(json::object{{"type", "function"}, {"function", std::move(function)}});
  }
  return read_tools(out, "tools");
}

}  // namespace

ToolChoice read_anthropic_tool_choice(const Fields& fields, const json::array& tools) {
  ToolChoice choice;
  const json::object* object = fields.object("tool_choice");
  if (object == nullptr) return choice;
  const std::string type = text_member(*object, "type");
  if (type == "none") choice.kind = ToolChoice::Kind::kNone;
  if (type == "any") choice.kind = ToolChoice::Kind::kRequired;
  if (type == "tool") {
    choice.kind = ToolChoice::Kind::kNamed;
    choice.name = text_member(*object, "name");
  }
  if (type != "auto" && choice.kind == ToolChoice::Kind::kAuto)
    refuse_field("tool_choice", "tool_choice.type: expected auto, any, tool or none");
  check_tool_choice(choice, tools);
  return choice;
}

int64_t read_thinking_budget(const Fields& fields) {
  const json::object* thinking = fields.object("thinking");
  if (thinking == nullptr || text_member(*thinking, "type") != "enabled") return -1;
  const json::value* budget = member(*thinking, "budget_tokens");
  if (budget == nullptr) return -1;
  const int64_t* tokens = budget->if_int64();
  if (tokens == nullptr || *tokens < 1)
    refuse_field("thinking.budget_tokens", "thinking.budget_tokens: expected a number of tokens");
  return *tokens;
}

ChatInput read_anthropic_chat(const Fields& fields, const ServedModel& model) {
  need_chat_template(model);
  ChatInput input;
  json::array messages;
  if (const json::value* system = fields.find("system"))
    messages.push_back(
        json::object{{"role", "system"}, {"content", joined_text(*system, "system")}});
  fields.require("messages");
  const json::array& given = *fields.list("messages");
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string path = fmt::format("messages.{}", i);
    append_message(object_at(given[i], path), path, messages);
  }
  input.messages = checked_messages(messages);
  if (const json::array* tools = fields.list("tools")) input.tools = turned_tools(*tools);
  if (read_anthropic_tool_choice(fields, input.tools).kind == ToolChoice::Kind::kNone)
    input.tools.clear();
  if (const json::object* thinking = fields.object("thinking")) {
    const std::string type = text_member(*thinking, "type");
    if (type != "enabled" && type != "disabled" && type != "adaptive")
      refuse_field("thinking.type", "thinking.type: expected enabled, disabled or adaptive");
    input.template_kwargs["enable_thinking"] = type != "disabled";
  }
  // The last message of an assistant is the answer's beginning.
  const json::object& last = input.messages.back().get_object();
  if (text_member(last, "role") == "assistant" && member(last, "tool_calls") == nullptr) {
    input.continue_final_message = true;
    input.add_generation_prompt = false;
  }
  return input;
}

}  // namespace headgate
