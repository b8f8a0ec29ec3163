// Conversations as the generator makes them and as training reads them: turns, tools, and the text
// with its loss mask.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace headgate {

// A tool call of an assistant's turn.
struct TrainingCall {
  std::string name;
  json::object arguments;
};

struct Turn {
  std::string role;  // "system", "user", "assistant" or "tool"
  std::string content;
  std::string reasoning;  // of an assistant: what stands between <think> and </think>
  std::vector<TrainingCall> calls;
  bool target = true;  // of an assistant: false leaves the turn without loss
};

struct Conversation {
  std::vector<Turn> turns;
  json::array tools;      // OpenAI style function descriptions
  bool thinking = false;  // rendered as with enable_thinking
};

// A piece of a document: text that is encoded by itself, and whether its tokens are targets.
struct Segment {
  std::string text;
  bool target = false;
};

// The conversation in the project's chat template (`built_in_chat_template()`), equal to what the
// template renders. Targets are the tokens that the model has to write: reasoning, content, calls
// and <|im_end|> of assistant turns. "<think>\n" is opened by the template, so it is no target.
std::vector<Segment> conversation_segments(const Conversation& conversation);

// Everything up to the last assistant turn, as a model is prompted for it.
std::string conversation_prompt(const Conversation& conversation);

// Text of the chat template itself (Jinja), and the tokens that a tokenizer needs for it, in the
// order of Qwen3-Next's vocabulary.
std::string_view training_chat_template();
struct ChatTokenName {
  std::string_view content;
  bool special;  // left out by skip_special
};
const std::vector<ChatTokenName>& training_added_tokens();

// OpenAI style messages with optional "tools": {"messages": [...], "tools": [...]}, as one line of
// a JSONL file holds them. `source` names the line. Throws kInvalidFile.
Conversation conversation_from_json(const json::object& entry, std::string_view source);

}  // namespace headgate
