// Fuzzes the reading of request bodies: OpenAI's, Anthropic's and the Responses API's, up to the
// template.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "chat/chat_template.h"
#include "server/anthropic/messages.h"
#include "server/openai/chat_completions.h"
#include "server/openai/chat_input.h"
#include "server/openai/output_rules.h"
#include "server/openai/responses.h"
#include "server/served_model.h"

namespace {

using namespace headgate;  // NOLINT: a program of its own

const ServedModel& model() {
  static const ChatTemplate chat_template(ChatTemplate::built_in_source(true), "template");
  static ServedModel instance;
  instance.chat_template = &chat_template;
  return instance;
}

void render(const ChatInput& input) {
  RenderInput render;
  render.messages = input.messages;
  render.tools = input.tools;
  render.add_generation_prompt = input.add_generation_prompt;
  render.continue_final_message = input.continue_final_message;
  render.template_kwargs = input.template_kwargs;
  model().chat_template->render(render);
}

// Errors are the expected end; anything else is a finding.
template <typename Read>
void attempt(Read read) {
  try {
    read();
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  json::object body;
  try {
    body = parse_body(text);
  } catch (const Error&) {
    return 0;
  }
  attempt([&] {
    const Fields fields(body, chat_completion_rules());
    const ChatInput input = read_chat_input(fields, model());
    read_output_form(fields, input.tools);
    render(input);
  });
  attempt([&] {
    const Fields fields(body, message_rules());
    render(read_anthropic_chat(fields, model()));
  });
  attempt([&] {
    const Fields fields(body, response_rules());
    const json::value& given = fields.require("input");
    checked_messages(messages_of_input(given));
    items_of_input(given);
    if (const json::array* tools = fields.list("tools")) turned_response_tools(*tools);
  });
  return 0;
}
