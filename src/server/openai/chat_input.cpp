// Conversations of requests, made ready for the template.
#include "server/openai/chat_input.h"

#include "base/error.h"
#include "chat/message.h"
#include "server/openai/generation_fields.h"

namespace headgate {
namespace {

constexpr FieldRule kChatInput[] = {
    {"messages", FieldKind::kList, 1, kMostMessages, "The conversation"},
    {"tools", FieldKind::kList, 0, kMostTools, "Functions that the model may call"},
    {"tool_choice", FieldKind::kAny, 0, 0, "auto, none, required, or a function by name"},
    {"chat_template_kwargs", FieldKind::kObject, 0, 64, "Variables for the chat template"},
    {"enable_thinking", FieldKind::kBoolean, 0, 0,
     "Short for chat_template_kwargs.enable_thinking"},
    {"reasoning_effort", FieldKind::kText, 1, 16,
     "none turns reasoning off, other words turn it on"},
    {"add_generation_prompt", FieldKind::kBoolean, 0, 0, "Begin the assistant's message (default)"},
    {"continue_final_message", FieldKind::kBoolean, 0, 0,
     "The last message is the answer's beginning"},
};

constexpr size_t kLeadBytes = 64;

constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium",
                                         "high", "xhigh",   "max"};

bool is_function_name(std::string_view name) {
  if (name.empty() || name.size() > 128) return false;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

const json::value* member(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

std::string text_member(const json::object& object, std::string_view name) {
  const json::value* value = member(object, name);
  return value != nullptr && value->is_string() ? std::string(text_view(value->get_string())) : "";
}

// Roles and calls that a template would otherwise trip over, or silently drop.
void check_message(json::object& message, const std::string& path) {
  const std::string role = text_member(message, "role");
  // OpenAI's newer word for the same thing; no template knows it.
  if (role == "developer") message["role"] = "system";
  if (role != "system" && role != "developer" && role != "user" && role != "assistant" &&
      role != "tool") {
    refuse_field(path + ".role", "{}.role: found \"{}\", expected system, user, assistant or tool",
                 path, role.substr(0, 40));
  }
  const json::value* reasoning = member(message, "reasoning");
  if (reasoning != nullptr && reasoning->is_string() &&
      member(message, "reasoning_content") == nullptr)
    message["reasoning_content"] = json::string(reasoning->get_string());
  if (role != "assistant" && member(message, "content") == nullptr)
    refuse_field(path + ".content", "{}.content: missing", path);
  const json::value* calls = member(message, "tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (size_t i = 0; i < calls->get_array().size(); ++i) {
    const std::string place = fmt::format("{}.tool_calls[{}]", path, i);
    const json::object* call = calls->get_array()[i].if_object();
    const json::value* function = call != nullptr ? member(*call, "function") : nullptr;
    if (function == nullptr || !function->is_object() ||
        text_member(function->get_object(), "name").empty())
      refuse_field(place, "{}: expected a function with a name", place);
    const json::value* arguments = member(function->get_object(), "arguments");
    if (arguments != nullptr && !arguments->is_string() && !arguments->is_object() &&
        !arguments->is_null())
      refuse_field(place, "{}.function.arguments: expected JSON text", place);
  }
}

}  // namespace

std::span<const FieldRule> chat_input_rules() { return kChatInput; }

json::array read_tools(const json::value& tools, const std::string& path) {
  json::array out;
  if (!tools.is_array()) refuse_field(path, "{}: expected an array", path);
  for (size_t i = 0; i < tools.get_array().size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    const json::object* tool = tools.get_array()[i].if_object();
    if (tool == nullptr || text_member(*tool, "type") != "function")
      refuse_field(place, "{}.type: expected \"function\"", place);
    const json::value* function = member(*tool, "function");
    if (function == nullptr || !function->is_object())
      refuse_field(place + ".function", "{}.function: missing", place);
    if (!is_function_name(text_member(function->get_object(), "name"))) {
      refuse_field(place + ".function.name",
                   "{}.function.name: expected 1 to 128 letters, digits, '_', '-' or '.'", place);
    }
    const json::value* parameters = member(function->get_object(), "parameters");
    if (parameters != nullptr && !parameters->is_object() && !parameters->is_null())
      refuse_field(place + ".function.parameters", "{}.function.parameters: expected a JSON schema",
                   place);
    out.push_back(*tool);
  }
  return out;
}

ToolChoice read_tool_choice(const Fields& fields, const json::array& tools) {
  const json::value* value = fields.find("tool_choice");
  ToolChoice choice;
  if (value == nullptr) return choice;
  const std::string word = value->is_string() ? std::string(text_view(value->get_string())) : "";
  if (word == "auto") return choice;
  if (word == "none") {
    choice.kind = ToolChoice::Kind::kNone;
    return choice;
  }
  if (word == "required") {
    choice.kind = ToolChoice::Kind::kRequired;
  } else if (value->is_object() && text_member(value->get_object(), "type") == "function") {
    choice.kind = ToolChoice::Kind::kNamed;
    const json::value* function = member(value->get_object(), "function");
    choice.name = function != nullptr && function->is_object()
                      ? text_member(function->get_object(), "name")
                      : text_member(value->get_object(), "name");
  } else {
    refuse_field("tool_choice", "tool_choice: expected auto, none, required or a function");
  }
  check_tool_choice(choice, tools);
  return choice;
}

void check_tool_choice(const ToolChoice& choice, const json::array& tools) {
  if (choice.kind == ToolChoice::Kind::kAuto || choice.kind == ToolChoice::Kind::kNone) return;
  if (tools.empty()) refuse_field("tool_choice", "tool_choice: needs tools");
  if (choice.kind != ToolChoice::Kind::kNamed) return;
  for (const json::value& tool : tools)
    if (text_member(tool.at("function").get_object(), "name") == choice.name) return;
  refuse_field("tool_choice", "tool_choice: there is no tool called \"{}\"",
               choice.name.substr(0, 130));
}

void need_chat_template(const ServedModel& model) {
  if (model.chat_template == nullptr)
    throw ApiError(400, "unsupported", "this model has no chat template: use /v1/completions");
}

json::array checked_messages(const json::value& messages) {
  json::array out;
  try {
    out = read_messages(messages, "messages");
  } catch (const Error& error) {
    throw ApiError(400, error.code() == ErrorCode::kUnsupported ? "unsupported" : "invalid_value",
                   error.what(), "messages");
  }
  for (size_t i = 0; i < out.size(); ++i)
    check_message(out[i].get_object(), fmt::format("messages[{}]", i));
  return out;
}

ChatInput read_chat_input(const Fields& fields, const ServedModel& model) {
  need_chat_template(model);
  ChatInput input;
  input.messages = checked_messages(fields.require("messages"));
  if (const json::value* tools = fields.find("tools")) input.tools = read_tools(*tools, "tools");
  if (read_tool_choice(fields, input.tools).kind == ToolChoice::Kind::kNone) input.tools.clear();
  if (const json::object* kwargs = fields.object("chat_template_kwargs"))
    input.template_kwargs = *kwargs;
  if (const auto think = fields.boolean("enable_thinking"))
    input.template_kwargs["enable_thinking"] = *think;
  if (const auto effort = fields.text("reasoning_effort")) {
    if (std::find(std::begin(kEfforts), std::end(kEfforts), *effort) == std::end(kEfforts)) {
      refuse_field("reasoning_effort",
                   "reasoning_effort: found \"{}\", expected none, minimal, low, medium, high, "
                   "xhigh or max",
                   *effort);
    }
    if (!input.template_kwargs.contains("enable_thinking"))
      input.template_kwargs["enable_thinking"] = *effort != "none";
    input.template_kwargs["reasoning_effort"] = *effort;
  }
  input.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  input.add_generation_prompt =
      fields.boolean("add_generation_prompt").value_or(!input.continue_final_message);
  if (input.continue_final_message && input.add_generation_prompt) {
    refuse_field("continue_final_message",
                 "continue_final_message: excludes add_generation_prompt");
  }
  return input;
}

RenderedChat render_chat(const ChatInput& input, const ServedModel& model, const EchoScope& scope) {
  RepairedChat repaired;
  const bool repairs = scope.echoes != nullptr && scope.salt != nullptr;
  // Another model's tokens mean something else.
  const std::string salt = repairs ? model.name + "\n" + *scope.salt : "";
  if (repairs) {
    repaired = repair_echoes(input.messages, *scope.echoes, salt, input.continue_final_message);
  }
  RenderInput render;
  render.messages = repairs ? std::move(repaired.messages) : input.messages;
  render.tools = input.tools;
  render.add_generation_prompt = input.add_generation_prompt;
  render.continue_final_message = input.continue_final_message;
  render.template_kwargs = input.template_kwargs;
  render.special_tokens = model.special_tokens;
  RenderedChat out;
  try {
    out.text = model.chat_template->render(render);
  } catch (const Error& error) {
    throw ApiError(400, "template_error",
                   fmt::format("the chat template refuses this conversation: {}", error.what()),
                   "messages");
  }
  out.ids = encode_with_echoes(*model.tokenizer, out.text, repaired.echoes);
  if (repairs && input.add_generation_prompt) {
    const size_t lead = std::min(out.text.size(), kLeadBytes);
    out.place = AnswerPlace{salt, repaired.digest, out.text.substr(out.text.size() - lead)};
  }
  if (out.ids.empty()) refuse_field("messages", "messages: the conversation renders to nothing");
  for (size_t i = 0; i < out.ids.size(); ++i)
    if (model.tokenizer->is_eos(out.ids[i])) out.checkpoints.push_back(static_cast<int64_t>(i) + 1);
  return out;
}

void plan_chat(const ChatInput& input, RenderedChat rendered, const ServedModel& model,
               const std::string& id, GenerationPlan& plan) {
  plan.parser =
      answer_parser_options(*model.chat_template, rendered.text, input.tools, "call_" + id + "_");
  plan.request.prompt = std::move(rendered.ids);
  plan.request.checkpoints = std::move(rendered.checkpoints);
  plan.place = std::move(rendered.place);
}

}  // namespace headgate
