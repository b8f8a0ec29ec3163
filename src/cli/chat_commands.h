// The conversation of `chat` and its commands: /help, /set, /save and so on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "chat/completion.h"
#include "cli/sampling_options.h"

namespace headgate {

// Messages in OpenAI form, the system message first when there is one.
struct Conversation {
  json::array messages;
  json::array tools;
  json::object template_kwargs;
  SamplingOptions sampling;

  ChatPrompt prompt() const { return {messages, tools, template_kwargs}; }

  void set_system(const std::string& text);  // empty: none
  void add_user(const std::string& text);
  void add_answer(const OutputSummary& answer);
  void add_tool_result(const std::string& call_id, const std::string& text);
  // Drops everything but the system message.
  void clear();
  // Drops what followed the last user message. False when there is none.
  bool drop_last_answer();
  // Takes back the last message.
  void drop_last_message();

  void save(const std::string& file) const;
  // Throws an Error and changes nothing when the file is no conversation.
  void load(const std::string& file);
};

enum class ChatAction { kNothing, kAnswer, kLeave };

bool is_chat_command(std::string_view input);  // begins with "/"
std::vector<std::string> chat_command_names();

// Runs one command and prints what it has to say. Throws Error for a wrong one.
ChatAction run_chat_command(Conversation& conversation, const std::string& input,
                            const SamplingParams& defaults);

}  // namespace headgate
