// Conversation -> prompt text, by the checkpoint's own chat template.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "chat/jinja.h"

namespace headgate {

// How a model writes its tool calls.
enum class ToolStyle {
  kNone,
  kHermesJson,  // <tool_call>{"name": ..., "arguments": {...}}</tool_call>
  kCoderXml     // <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>
};

struct RenderInput {
  json::array messages;  // as read_messages() or messages_to_json() returns them
  json::array tools;     // OpenAI tool objects; an empty list counts as no tools
  bool add_generation_prompt = true;
  // The last message is the beginning of the answer: the prompt ends with its text.
  bool continue_final_message = false;
  json::object template_kwargs;  // more variables, such as {"enable_thinking": false}
  json::object special_tokens;   // {"bos_token": "...", "eos_token": "..."}, those that exist
  std::time_t now = 0;           // what strftime_now() sees; 0: the time of the call
};

// Thread rule: immutable after construction; any number of threads may render.
class ChatTemplate {
 public:
  // Compiles template text; `name` stands in errors ("model/chat_template.jinja:12: ...").
  // Throws kInvalidFile, kUnsupported.
  ChatTemplate(std::string_view source, const std::string& name);

  // From the "chat_template" of a tokenizer_config.json: a text, or a list of named templates, of
  // which "tool_use" serves requests with tools and "default" all others.
  static ChatTemplate from_config(const json::value& chat_template, const std::string& name);

  // For checkpoints without a template: ChatML as Qwen3's 2507 models use it, in the Instruct or
  // the Thinking variant. Logged as a warning, since another format costs the model quality.
  static ChatTemplate built_in(bool thinking);
  static std::string_view built_in_source(bool thinking);

  // Same bytes as transformers' apply_chat_template(tokenize=False). Throws kInvalidArgument when
  // the template refuses the conversation, kResourceExhausted at a limit.
  std::string render(const RenderInput& input) const;

  ToolStyle tool_style() const { return tool_style_; }
  // The template mentions <think>: answers may hold reasoning.
  bool knows_thinking() const { return knows_thinking_; }
  // A model that keeps to the template may begin its answer to `prompt` with <think>. Not where
  // the template writes that tag itself when thinking is asked for, or has just closed it.
  bool leaves_think_to_model(std::string_view prompt) const;
  const std::string& source() const { return source_; }

 private:
  std::string source_;
  jinja::Template template_;
  std::optional<jinja::Template> with_tools_;
  ToolStyle tool_style_ = ToolStyle::kNone;
  bool knows_thinking_ = false;
  bool writes_think_ = false;  // opens <think> itself when asked to
};

// Whether a prompt ends inside of an open <think>: the answer then begins with reasoning.
bool opens_think(std::string_view prompt);

}  // namespace headgate
