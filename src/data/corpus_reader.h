// Text files and JSONL files as documents.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "data/conversation.h"

namespace headgate {

// What a file holds, by its name: ".jsonl" lines are JSON objects, anything else is one text.
// Each line with a string "text" is a text; with "messages" it is a conversation; so is one with
// "question" and an "answer" whose result stands behind "####".
struct CorpusSink {
  std::function<void(std::string_view text)> on_text;
  std::function<void(const Conversation& conversation)> on_conversation;
};

// Reads a file to its end. Throws kInvalidFile, naming file and line, for a line that is neither,
// or of a kind that the sink does not take (an empty function).
void read_corpus(const std::string& path, const CorpusSink& sink);

}  // namespace headgate
