// A conversation from a request: messages, tools and template variables, rendered to token ids.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/answer_echoes.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/service.h"

namespace headgate {

struct ChatInput {
  json::array messages;
  json::array tools;  // empty where tool_choice is "none"
  json::object template_kwargs;
  bool add_generation_prompt = true;
  bool continue_final_message = false;
};

struct RenderedChat {
  std::string text;
  std::vector<int32_t> ids;
  // Behind each message: where the next request of this conversation will want to go on.
  std::vector<int64_t> checkpoints;
  std::optional<AnswerPlace> place;  // of the answer, where it can be told from an echo
};

// What a request may say about calling its tools.
struct ToolChoice {
  enum class Kind { kAuto, kNone, kRequired, kNamed };
  Kind kind = Kind::kAuto;
  std::string name;  // of kNamed
};

// Rules of messages, tools, tool_choice, chat_template_kwargs and their like.
std::span<const FieldRule> chat_input_rules();

// Throws ApiError 400 for what is no conversation, for tools that are not well formed, and when the
// model has no chat template.
ChatInput read_chat_input(const Fields& fields, const ServedModel& model);
ToolChoice read_tool_choice(const Fields& fields, const json::array& tools);
// Messages in OpenAI's form, checked and ready for a template.
json::array checked_messages(const json::value& messages);
// Throws where the model cannot take conversations.
void need_chat_template(const ServedModel& model);
// Checks that a named choice exists, and that there are tools to choose from.
void check_tool_choice(const ToolChoice& choice, const json::array& tools);
// Checks OpenAI tool objects.
json::array read_tools(const json::value& tools, const std::string& path);

// Where answers that came back are looked for; null members: nowhere.
struct EchoScope {
  const AnswerEchoes* echoes = nullptr;
  const std::string* salt = nullptr;  // whose answers
};
RenderedChat render_chat(const ChatInput& input, const ServedModel& model,
                         const EchoScope& scope = {});

// Prompt and parser of a rendered conversation. `id` makes the ids of its tool calls unique.
void plan_chat(const ChatInput& input, RenderedChat rendered, const ServedModel& model,
               const std::string& id, GenerationPlan& plan);

}  // namespace headgate
