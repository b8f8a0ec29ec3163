// Joins the parts that answer a request.
#include "chat/completion.h"

#include <fmt/core.h>

#include <utility>

#include "base/error.h"
#include "chat/answer_stream.h"
#include "chat/checkpoint_text.h"

namespace headgate {

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
    parser.emplace(answer_parser_options(*template_, prompt, request.chat->tools,
                                         fmt::format("call_{}_", answers_++)));
    generation.prompt = tokenizer_.encode(prompt);
  } else {
    generation.prompt = prompt_ids(request);
  }
  generation.sampling = request.sampling;
  generation.max_tokens = request.max_tokens;
  generation.stop_tokens = request.stop_tokens;
  generation.constraint = request.constraint;
  generation.on_prefill = request.on_prefill;
  generation.cancel = request.cancel;
  AnswerStream stream(tokenizer_, request.stop, std::move(parser));
  generation.on_token = [&](const SampledToken& token) {
    if (request.on_token) request.on_token(token);
    return stream.push(token.token, request.on_event);
  };
  GenerationResult generated = session_.generate(generation);

  CompletionResult result;
  const FinishReason reason =
      generated.reason == FinishReason::kContext ? FinishReason::kLength : generated.reason;
  result.output = stream.finish(finish_reason_name(reason), request.on_event);
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
