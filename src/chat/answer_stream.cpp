// The pipeline behind every streamed answer.
#include "chat/answer_stream.h"

#include <utility>

namespace headgate {

OutputParserOptions answer_parser_options(const ChatTemplate& chat_template,
                                          std::string_view prompt, const json::array& tools,
                                          const std::string& call_id_prefix) {
  OutputParserOptions options;
  if (opens_think(prompt)) {
    options.reasoning = OutputParserOptions::Reasoning::kOpen;
  } else if (chat_template.knows_thinking()) {
    options.reasoning = OutputParserOptions::Reasoning::kMayOpen;
    options.reasoning_expected = chat_template.leaves_think_to_model(prompt);
  }
  if (!tools.empty()) options.tools = chat_template.tool_style();
  options.declared_tools = tools;
  options.call_id_prefix = call_id_prefix;
  return options;
}

AnswerStream::AnswerStream(const Tokenizer& tokenizer, std::vector<std::string> stop,
                           std::optional<OutputParser> parser, bool skip_special)
    : tokenizer_(&tokenizer),
      detokenizer_(tokenizer, skip_special),
      parser_(std::move(parser)),
      stop_texts_(stop),
      stops_(std::move(stop)) {}

bool AnswerStream::push(int32_t id, const Receiver& receive) {
  const bool markup = tokenizer_->is_added(id) && !tokenizer_->is_special(id);
  // Half a character before a tag will never be completed.
  if (markup && detokenizer_.held_bytes() > 0)
    text(detokenizer_.flush(), PieceRole::kText, receive);
  text(detokenizer_.push(id), markup ? PieceRole::kMarkup : PieceRole::kText, receive);
  return !stops_.stopped();
}

OutputSummary AnswerStream::finish(std::string_view reason, const Receiver& receive) {
  text(detokenizer_.flush(), PieceRole::kText, receive);
  OutputSummary summary;
  if (parser_) {
    for (const OutputEvent& event : parser_->finish(reason)) emit(event, receive);
    summary = parser_->summary();
  } else {
    summary.finish_reason = reason;
  }
  const std::string rest = stops_.finish();
  if (!rest.empty()) deliver({OutputEvent::Kind::kContent, rest, -1, "", ""}, receive);
  if (!parser_ || stops_.stopped())
    summary.content = content_.empty() ? std::nullopt : std::optional(content_);
  return summary;
}

void AnswerStream::text(const std::string& piece, PieceRole role, const Receiver& receive) {
  if (piece.empty()) return;
  if (!parser_) {
    emit({OutputEvent::Kind::kContent, piece, -1, "", ""}, receive);
    return;
  }
  for (const OutputEvent& event : parser_->push(piece, role)) emit(event, receive);
}

void AnswerStream::emit(OutputEvent event, const Receiver& receive) {
  if (stops_.stopped()) return;
  if (event.kind == OutputEvent::Kind::kContent) {
    const StopStrings::Piece piece = stops_.push(event.text);
    if (piece.stopped) stop_found_ = stop_texts_[*piece.stopped];
    event.text = piece.text;
    if (event.text.empty()) return;
  } else if (event.kind == OutputEvent::Kind::kToolBegin) {
    // Content is over: nothing held back can become a stop string any more.
    const std::string rest = stops_.finish();
    if (!rest.empty()) deliver({OutputEvent::Kind::kContent, rest, -1, "", ""}, receive);
  }
  deliver(event, receive);
}

void AnswerStream::deliver(const OutputEvent& event, const Receiver& receive) {
  if (event.kind == OutputEvent::Kind::kContent) content_ += event.text;
  if (receive) receive(event);
}

}  // namespace headgate
