// Generated tokens to the events of an answer: characters, then reasoning and tool calls, then stop
// strings.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "chat/output_parser.h"
#include "chat/stop_strings.h"
#include "text/detokenizer.h"

namespace headgate {

// How the answer to a rendered conversation is read.
OutputParserOptions answer_parser_options(const ChatTemplate& chat_template,
                                          std::string_view prompt, const json::array& tools,
                                          const std::string& call_id_prefix);

// The same tokens give the same events in the same pieces of text however they come. Thread rule:
// one thread at a time; the tokenizer must outlive it.
class AnswerStream {
 public:
  using Receiver = std::function<void(const OutputEvent&)>;

  // Without a parser all text is content. `stop` ends the answer and is looked for in content only.
  AnswerStream(const Tokenizer& tokenizer, std::vector<std::string> stop,
               std::optional<OutputParser> parser, bool skip_special = true);

  // False when a stop string was found: the tokens that follow do not count.
  bool push(int32_t id, const Receiver& receive);
  // The answer ended for this reason ("stop", "length", "cancelled"). The last events, and the
  // whole.
  OutputSummary finish(std::string_view reason, const Receiver& receive);

  bool stopped() const { return stops_.stopped(); }
  // The stop string that was found, empty before.
  const std::string& stop_found() const { return stop_found_; }

 private:
  void text(const std::string& piece, PieceRole role, const Receiver& receive);
  void emit(OutputEvent event, const Receiver& receive);
  void deliver(const OutputEvent& event, const Receiver& receive);

  const Tokenizer* tokenizer_;
  IncrementalDetokenizer detokenizer_;
  std::optional<OutputParser> parser_;
  std::vector<std::string> stop_texts_;
  StopStrings stops_;
  std::string stop_found_;
  std::string content_;
};

}  // namespace headgate
