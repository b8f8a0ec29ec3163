// Model output -> reasoning, answer and tool calls, while it streams.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "chat/chat_template.h"
#include "chat/message.h"

namespace headgate {

struct OutputParserOptions {
  enum class Reasoning {
    kNone,     // the model never writes any
    kMayOpen,  // the output may begin with <think>
    kOpen      // the prompt ended inside of <think>
  };
  Reasoning reasoning = Reasoning::kNone;
  // With kMayOpen: false where only a model that errs would. It is parsed all the same, but an
  // answer that is held to a form must not begin so.
  bool reasoning_expected = true;
  Reasoning before_a_form() const {
    return reasoning == Reasoning::kMayOpen && !reasoning_expected ? Reasoning::kNone : reasoning;
  }
  ToolStyle tools = ToolStyle::kNone;
  json::array declared_tools;            // types of XML parameters come from their schemas
  std::string call_id_prefix = "call_";  // ids are this and a number; make it unique per answer
};

struct OutputEvent {
  enum class Kind { kReasoning, kContent, kToolBegin, kToolArguments, kToolEnd };
  Kind kind = Kind::kContent;
  std::string text;  // what to append; of kToolArguments: JSON text
  int call = -1;     // number of the tool call
  std::string id;    // of kToolBegin
  std::string name;  // of kToolBegin
};

struct OutputSummary {
  std::optional<std::string> content;
  std::optional<std::string> reasoning_content;
  std::vector<ToolCall> tool_calls;
  // Text of a tool call that broke off or was no valid call; it is not among tool_calls.
  std::optional<std::string> incomplete;
  std::string finish_reason;  // the given one, or "tool_calls"
};

// What the token of a piece of text says about it.
enum class PieceRole {
  kUnknown,  // tags are recognised by their text
  kText,     // ordinary tokens: a tag in them is quoted, not meant
  kMarkup    // one markup token such as <tool_call>
};

// The same text gives the same summary however it is cut into pieces. Not thread-safe.
// Rules: reasoning ends at the first </think>; outer newlines of reasoning, newlines before the
// answer and newlines before the first tool call are dropped, and so is text behind it.
class OutputParser {
 public:
  explicit OutputParser(OutputParserOptions options);
  ~OutputParser();
  OutputParser(OutputParser&&) noexcept;
  OutputParser& operator=(OutputParser&&) noexcept;

  // Complete characters only, as the detokenizer releases them. Text that may be the beginning of
  // a tag is held back.
  std::vector<OutputEvent> push(std::string_view piece, PieceRole role = PieceRole::kUnknown);

  // The answer ended for this reason ("stop", "length"). Last events, then summary() is final.
  std::vector<OutputEvent> finish(std::string_view reason);
  const OutputSummary& summary() const;

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace headgate
