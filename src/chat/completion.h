// From a conversation or a text to a streamed answer: template, tokens, session, parser in one
// call.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "chat/chat_template.h"
#include "chat/output_parser.h"
#include "engine/session.h"
#include "text/tokenizer.h"

namespace headgate {

struct ChatPrompt {
  json::array messages;          // as read_messages() or messages_to_json() return them
  json::array tools;             // OpenAI tool objects
  json::object template_kwargs;  // {"enable_thinking": false}
};

struct CompletionRequest {
  // What to answer: `chat` when set, else `ids` when not empty, else `text` continued as it is.
  std::optional<ChatPrompt> chat;
  std::vector<int32_t> ids;
  std::string text;

  SamplingParams sampling;
  int64_t max_tokens = -1;           // -1: until the context is full
  std::vector<std::string> stop;     // ends the answer; looked for outside of reasoning
  std::vector<int32_t> stop_tokens;  // usually stop_tokens() of checkpoint_text.h
  // Which tokens the answer may have, from its first on; null: all.
  std::shared_ptr<const TokenConstraint> constraint;

  std::function<void(const OutputEvent&)> on_event;
  std::function<void(const SampledToken&)> on_token;  // before its events
  std::function<void(int64_t done, int64_t total)> on_prefill;
  const std::atomic<bool>* cancel = nullptr;
};

struct CompletionResult {
  OutputSummary output;  // finish_reason: "stop", "length" (also: context full), "tool_calls",
                         // "cancelled"
  FinishReason reason = FinishReason::kStop;
  std::vector<int32_t> tokens;  // generated
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  DraftStats drafts;
};

// Thread rule: one request at a time. All parts must outlive it.
class Completion {
 public:
  // Without a template (nullptr) only texts and ids can be continued.
  Completion(Session& session, const Tokenizer& tokenizer, const ChatTemplate* chat_template);

  // The text that the model would see.
  std::string render(const ChatPrompt& prompt) const;
  // The ids that the model would see.
  std::vector<int32_t> prompt_ids(const CompletionRequest& request) const;

  // Throws kInvalidArgument for a conversation the template refuses and a prompt that does not fit.
  // After a cancelled answer the state holds what was generated and is reused like any other.
  CompletionResult run(const CompletionRequest& request);

 private:
  Session& session_;
  const Tokenizer& tokenizer_;
  const ChatTemplate* template_;
  json::object special_tokens_;
  int64_t answers_ = 0;
};

}  // namespace headgate
