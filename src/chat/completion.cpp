// Joins the parts that answer a request.
#include "chat/completion.h"

#include <fmt/core.h>

#include <utility>

#include "base/error.h"
#include "chat/checkpoint_text.h"
#include "chat/stop_strings.h"
#include "text/detokenizer.h"

namespace headgate {
namespace {

// Tokens in, events out: detokenizer, then parser (chat only), then stop strings on the content.
class AnswerStream {
 public:
  AnswerStream(const Tokenizer& tokenizer, const CompletionRequest& request,
               std::optional<OutputParser> parser)
      : tokenizer_(tokenizer),
        request_(request),
        detokenizer_(tokenizer, /*skip_special=*/true),
        parser_(std::move(parser)),
        stops_(request.stop) {}

  // False when a stop string was found.
  bool push(int32_t id) {
    const bool markup = tokenizer_.is_added(id) && !tokenizer_.is_special(id);
    // Half a character before a tag will never be completed.
    if (markup && detokenizer_.held_bytes() > 0) text(detokenizer_.flush(), PieceRole::kText);
    text(detokenizer_.push(id), markup ? PieceRole::kMarkup : PieceRole::kText);
    return !stops_.stopped();
  }

  OutputSummary finish(FinishReason reason) {
    const std::string_view name = reason == FinishReason::kContext
                                      ? finish_reason_name(FinishReason::kLength)
                                      : finish_reason_name(reason);
    text(detokenizer_.flush(), PieceRole::kText);
    OutputSummary summary;
    if (parser_) {
      for (const OutputEvent& event : parser_->finish(name)) emit(event);
      summary = parser_->summary();
    } else {
      summary.finish_reason = name;
    }
    const std::string rest = stops_.finish();
    if (!rest.empty()) deliver({OutputEvent::Kind::kContent, rest, -1, "", ""});
    if (!parser_ || stops_.stopped()) {
      summary.content = content_.empty() ? std::nullopt : std::optional(content_);
    }
    return summary;
  }

 private:
  void text(const std::string& piece, PieceRole role) {
    if (piece.empty()) return;
    if (!parser_) {
      emit({OutputEvent::Kind::kContent, piece, -1, "", ""});
      return;
    }
    for (const OutputEvent& event : parser_->push(piece, role)) emit(event);
  }

  void emit(OutputEvent event) {
    if (stops_.stopped()) return;
    if (event.kind == OutputEvent::Kind::kContent) {
      event.text = stops_.push(event.text).text;
      if (event.text.empty()) return;
    } else if (event.kind == OutputEvent::Kind::kToolBegin) {
      // Content is over: nothing held back can become a stop string any more.
      const std::string rest = stops_.finish();
      if (!rest.empty()) deliver({OutputEvent::Kind::kContent, rest, -1, "", ""});
    }
    deliver(event);
  }

  void deliver(const OutputEvent& event) {
    if (event.kind == OutputEvent::Kind::kContent) content_ += event.text;
    if (request_.on_event) request_.on_event(event);
  }

  const Tokenizer& tokenizer_;
  const CompletionRequest& request_;
  IncrementalDetokenizer detokenizer_;
  std::optional<OutputParser> parser_;
  StopStrings stops_;
  std::string content_;
};

}  // namespace

Completion::Completion(Session& session, const Tokenizer& tokenizer,
                       const ChatTemplate* chat_template)
    : session_(session),
      tokenizer_(tokenizer),
      template_(chat_template),
      special_tokens_(special_token_texts(tokenizer)) {}

std::string Completion::render(const ChatPrompt& prompt) const {
  HEADGATE_CHECK(template_ != nullptr);
  RenderInput input;
  input.messages = prompt.messages;
  input.tools = prompt.tools;
  input.template_kwargs = prompt.template_kwargs;
  input.special_tokens = special_tokens_;
  return template_->render(input);
}

std::vector<int32_t> Completion::prompt_ids(const CompletionRequest& request) const {
  if (request.chat) return tokenizer_.encode(render(*request.chat));
  return request.ids.empty() ? tokenizer_.encode(request.text) : request.ids;
}

CompletionResult Completion::run(const CompletionRequest& request) {
  GenerationRequest generation;
  std::optional<OutputParser> parser;
  if (request.chat) {
    const std::string prompt = render(*request.chat);
    OutputParserOptions options;
    if (opens_think(prompt)) {
      options.reasoning = OutputParserOptions::Reasoning::kOpen;
    } else if (template_->knows_thinking()) {
      options.reasoning = OutputParserOptions::Reasoning::kMayOpen;
    }
    if (!request.chat->tools.empty()) options.tools = template_->tool_style();
    options.declared_tools = request.chat->tools;
    options.call_id_prefix = fmt::format("call_{}_", answers_++);
    parser.emplace(std::move(options));
    generation.prompt = tokenizer_.encode(prompt);
  } else {
    generation.prompt = prompt_ids(request);
  }
  generation.sampling = request.sampling;
  generation.max_tokens = request.max_tokens;
  generation.stop_tokens = request.stop_tokens;
  generation.on_prefill = request.on_prefill;
  generation.cancel = request.cancel;
  AnswerStream stream(tokenizer_, request, std::move(parser));
  generation.on_token = [&](const SampledToken& token) {
    if (request.on_token) request.on_token(token);
    return stream.push(token.token);
  };
  GenerationResult generated = session_.generate(generation);

  CompletionResult result;
  result.output = stream.finish(generated.reason);
  result.reason = generated.reason;
  result.tokens = std::move(generated.tokens);
  result.prompt_tokens = generated.prompt_tokens;
  result.reused_tokens = generated.reused_tokens;
  result.prefill_seconds = generated.prefill_seconds;
  result.decode_seconds = generated.decode_seconds;
  result.drafts = std::move(generated.drafts);
  return result;
}

}  // namespace headgate
