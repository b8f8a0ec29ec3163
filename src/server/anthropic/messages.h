// POST /v1/messages and /v1/messages/count_tokens: Anthropic's API over the same engine.
#pragma once

#include <span>

#include "server/fields.h"
#include "server/openai/chat_input.h"
#include "server/router.h"

namespace headgate {

std::span<const FieldRule> message_rules();
std::span<const FieldRule> count_tokens_rules();
void create_message(Service& service, Call& call);
void count_tokens(Service& service, Call& call);

// A conversation in Anthropic's form as one in OpenAI's. Throws ApiError 400.
ChatInput read_anthropic_chat(const Fields& fields, const ServedModel& model);
// thinking.budget_tokens; -1: none is given, or thinking is not on.
int64_t read_thinking_budget(const Fields& fields);
ToolChoice read_anthropic_tool_choice(const Fields& fields, const json::array& tools);

}  // namespace headgate
