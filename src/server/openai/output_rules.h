// What an answer must look like: response_format and tool_choice as constraints on its tokens.
#pragma once

#include <span>
#include <string>

#include "server/fields.h"
#include "server/generation.h"
#include "server/openai/chat_input.h"

namespace headgate {

// The form that a request asks for.
struct OutputForm {
  enum class Kind { kText, kJsonObject, kJsonSchema, kRegex, kGrammar };
  Kind kind = Kind::kText;
  json::value schema;   // of kJsonSchema
  std::string pattern;  // of kRegex and kGrammar
  ToolChoice tool_choice;
  bool parallel_tool_calls = true;
};

// Rules of response_format, structured_outputs and parallel_tool_calls.
std::span<const FieldRule> output_form_rules();

OutputForm read_output_form(const Fields& fields, const json::array& tools);
// {"type": "json_schema", ...}: the schema lies under "json_schema" (chat) or beside the type
// (responses).
void read_format(const json::object& format, const std::string& path, OutputForm& form);
// vLLM's structured_outputs.
void read_structured_outputs(const json::object& wanted, OutputForm& form);

// Sets plan.request.constraint where the form asks for one. Throws ApiError 400 for a schema that
// cannot be used.
void apply_output_form(const OutputForm& form, const ChatInput& input, const ServedModel& model,
                       GenerationPlan& plan);

}  // namespace headgate
