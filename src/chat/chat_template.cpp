// Rendering of conversations, with the preparations transformers makes.
#include "chat/chat_template.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "chat/jinja_text.h"

namespace headgate {
namespace {

constexpr std::string_view kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG";

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

ToolStyle find_tool_style(std::string_view source) {
  if (contains(source, "<function=")) return ToolStyle::kCoderXml;
  if (contains(source, "<tool_call>")) return ToolStyle::kHermesJson;
  return ToolStyle::kNone;
}

// Reasoning goes by three names; a template that reads the first or second finds it.
json::object alias_reasoning(const json::object& message) {
  const json::value* reasoning = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const json::value* found = message.if_contains(name);
    if (found != nullptr && !found->is_null()) {
      reasoning = found;
      break;
    }
  }
  if (reasoning == nullptr) return message;
  json::object out;
  out["thinking"] = *reasoning;
  for (const auto& field : message) out[field.key()] = field.value();
  out["reasoning_content"] = *reasoning;
  return out;
}

// Templates of the XML style walk through the arguments, which clients send as JSON text.
void parse_arguments(json::object& message) {
  json::value* calls = message.if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (json::value& call : calls->get_array()) {
    json::object* object = call.if_object();
    if (object == nullptr) continue;
    json::value* function = object->if_contains("function");
    if (function != nullptr && function->is_object()) object = function->if_object();
    json::value* arguments = object->if_contains("arguments");
    if (arguments == nullptr || !arguments->is_string()) continue;
    const std::string text(view(arguments->get_string()));
    *arguments =
        text.empty() ? json::value(json::object()) : parse_json(text, "arguments of a tool call");
  }
}

// Marks where the final message ends in the rendered prompt.
void mark_final_message(json::array& messages) {
  json::object* last = messages.empty() ? nullptr : messages.back().if_object();
  json::value* content = last != nullptr ? last->if_contains("content") : nullptr;
  if (content == nullptr || !content->is_string()) {
    fail(ErrorCode::kInvalidArgument,
         "continue_final_message: the final message has no content to continue");
  }
  content->get_string().append(std::string(kContinueTag) + " ");
}

std::string cut_at_mark(std::string prompt) {
  const size_t mark = prompt.rfind(kContinueTag);
  if (mark == std::string::npos) {
    fail(ErrorCode::kInvalidArgument,
         "continue_final_message: the template does not render the final message");
  }
  const size_t behind = mark + kContinueTag.size();
  const bool keeps_space = behind < prompt.size() && prompt[behind] == ' ';
  prompt.resize(mark);
  // A template that trims the message trims what comes before the mark as well.
  if (!keeps_space) {
    prompt = std::string(jinja::strip_text(prompt, jinja::Side::kRight, nullptr));
  }
  return prompt;
}

// Tried out, since templates say so in many ways.
bool writes_think(const jinja::Template& chat_template) {
  const json::object message{{"role", "user"}, {"content", "x"}};
  const json::object variables{
      {"messages", json::array{message}}, {"tools", nullptr},        {"documents", nullptr},
      {"add_generation_prompt", true},    {"enable_thinking", true}, {"thinking", true}};
  try {
    return opens_think(chat_template.render(variables, 0));
  } catch (const Error&) {
    return false;  // it wants another conversation
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, const std::string& name)
    : source_(source),
      template_(source, name),
      tool_style_(find_tool_style(source)),
      knows_thinking_(contains(source, "<think>")),
      writes_think_(knows_thinking_ && writes_think(template_)) {}

ChatTemplate ChatTemplate::from_config(const json::value& chat_template, const std::string& name) {
  if (chat_template.is_string()) return {view(chat_template.get_string()), name};
  if (!chat_template.is_array()) {
    fail(ErrorCode::kInvalidFile, "{}: chat_template: expected a text or a list of templates",
         name);
  }
  std::optional<std::string> plain;
  std::optional<std::string> with_tools;
  for (const json::value& item : chat_template.get_array()) {
    const json::object* object = item.if_object();
    const json::value* key = object != nullptr ? object->if_contains("name") : nullptr;
    const json::value* text = object != nullptr ? object->if_contains("template") : nullptr;
    if (key == nullptr || !key->is_string() || text == nullptr || !text->is_string()) {
      fail(ErrorCode::kInvalidFile,
           "{}: chat_template: expected items {{\"name\": ..., \"template\": ...}}", name);
    }
    if (key->get_string() == "default") plain = view(text->get_string());
    if (key->get_string() == "tool_use") with_tools = view(text->get_string());
  }
  if (!plain) plain = with_tools;
  if (!plain) {
    fail(ErrorCode::kInvalidFile, "{}: chat_template: no template named \"default\"", name);
  }
  ChatTemplate result(*plain, name);
  if (with_tools) {
    result.with_tools_.emplace(*with_tools, name + "(tool_use)");
    result.tool_style_ = find_tool_style(*with_tools);
  }
  return result;
}

ChatTemplate ChatTemplate::built_in(bool thinking) {
  log_warning("the checkpoint has no chat template: using the built-in ChatML of Qwen3 ({})",
              thinking ? "thinking" : "instruct");
  return {built_in_source(thinking), "built-in chat template"};
}

std::string ChatTemplate::render(const RenderInput& input) const {
  json::array messages;
  for (const json::value& item : input.messages) {
    if (!item.is_object()) fail(ErrorCode::kInvalidArgument, "messages: expected objects");
    json::object message = alias_reasoning(item.get_object());
    if (tool_style_ == ToolStyle::kCoderXml) parse_arguments(message);
    messages.push_back(std::move(message));
  }
  if (input.continue_final_message) mark_final_message(messages);
  json::object variables = input.special_tokens;
  for (const auto& variable : input.template_kwargs) variables[variable.key()] = variable.value();
  variables["messages"] = std::move(messages);
  variables["tools"] = input.tools.empty() ? json::value() : json::value(input.tools);
  variables["documents"] = variables.contains("documents") ? variables["documents"] : json::value();
  variables["add_generation_prompt"] = input.add_generation_prompt && !input.continue_final_message;
  const std::time_t now = input.now != 0 ? input.now : std::time(nullptr);
  const jinja::Template& chosen = with_tools_ && !input.tools.empty() ? *with_tools_ : template_;
  std::string prompt = chosen.render(variables, now);
  return input.continue_final_message ? cut_at_mark(std::move(prompt)) : prompt;
}

bool ChatTemplate::leaves_think_to_model(std::string_view prompt) const {
  constexpr std::string_view kClosed = "</think>";
  if (!knows_thinking_ || writes_think_) return false;
  const std::string_view text = jinja::strip_text(prompt, jinja::Side::kRight, nullptr);
  return text.size() < kClosed.size() || text.substr(text.size() - kClosed.size()) != kClosed;
}

bool opens_think(std::string_view prompt) {
  constexpr std::string_view kOpen = "<think>";
  const std::string_view text = jinja::strip_text(prompt, jinja::Side::kRight, nullptr);
  if (text.size() >= kOpen.size() && text.substr(text.size() - kOpen.size()) == kOpen) return true;
  // A continued answer: look into the last ChatML turn only, a user may write anything.
  constexpr std::string_view kTurn = "<|im_start|>assistant";
  const size_t turn = prompt.rfind("<|im_start|>");
  if (turn == std::string_view::npos || prompt.substr(turn, kTurn.size()) != kTurn) return false;
  const std::string_view answer = prompt.substr(turn);
  const size_t open = answer.rfind(kOpen);
  return open != std::string_view::npos && !contains(answer.substr(open), "</think>");
}

}  // namespace headgate
