// A model with everything needed to talk to it, and how its answers appear on a terminal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/completion.h"
#include "cli/model_options.h"

namespace headgate {

struct Assistant {
  LoadedModel loaded;
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;  // unset: for texts and ids only
  SamplingParams sampling_defaults;
  std::vector<int32_t> stop_tokens;

  const ChatTemplate* template_or_null() const { return chat_template ? &*chat_template : nullptr; }
  std::unique_ptr<Session> make_session(const ModelOptions& options) const;
};

// `progress` as of load_model().
Assistant load_assistant(const ModelOptions& options, bool with_template = true,
                         const LoadProgress& progress = nullptr);

// Prints an answer while it streams: reasoning dimmed and only on a terminal, then the text, then
// tool calls as one line of JSON each. Control characters never reach a terminal.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(bool show_reasoning);
  void show(const OutputEvent& event);
  // Ends the last line.
  void finish();

 private:
  void begin(OutputEvent::Kind kind);
  void write(std::string_view text);

  bool show_reasoning_;
  bool terminal_;
  bool in_reasoning_ = false;
  bool wrote_reasoning_ = false;
  bool line_open_ = false;
  OutputEvent call_;
};

// Three lines for --verbose: prompt, answer, speeds.
std::string describe_timings(const CompletionResult& result);

}  // namespace headgate
