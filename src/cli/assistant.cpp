// Loading of a model with its text side, and printing of its answers.
#include "cli/assistant.h"

#include <fmt/core.h>

#include "base/json.h"
#include "cli/format.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

std::string speed(int64_t tokens, double seconds) {
  if (tokens == 0 || seconds <= 0) return "";
  return fmt::format(", {:.1f} tok/s", static_cast<double>(tokens) / seconds);
}

}  // namespace

std::unique_ptr<Session> Assistant::make_session(const ModelOptions& options) const {
  const ModelConfig& config = loaded.model->config();
  return std::make_unique<Session>(loaded.model, text_tokens(&tokenizer, config),
                                   session_options(options, config));
}

Assistant load_assistant(const ModelOptions& options, bool with_template,
                         const LoadProgress& progress) {
  // The text side first: it is quick, and a folder without a tokenizer is found out at once.
  Tokenizer tokenizer = load_tokenizer_of(options);
  LoadedModel loaded = load_model(options, progress);
  std::optional<ChatTemplate> chat_template;
  if (with_template) {
    const std::optional<StoredTemplate> stored = stored_template(loaded.checkpoint);
    if (!stored)
      report_note(fmt::format("{}: no chat template, taking Qwen3's own ChatML", loaded.name()));
    chat_template = compile_template(stored);
  }
  SamplingParams defaults = sampling_defaults(loaded.checkpoint);
  std::vector<int32_t> stops = stop_tokens(loaded.model->config().eos_tokens, tokenizer);
  return {std::move(loaded), std::move(tokenizer), std::move(chat_template), std::move(defaults),
          std::move(stops)};
}

AnswerPrinter::AnswerPrinter(bool show_reasoning)
    : show_reasoning_(show_reasoning), terminal_(is_terminal(Stream::kOutput)) {}

void AnswerPrinter::write(std::string_view text) {
  write_stdout(terminal_ ? printable(text) : std::string(text));
}

// Style and empty line between reasoning and answer.
void AnswerPrinter::begin(OutputEvent::Kind kind) {
  const bool reasoning = kind == OutputEvent::Kind::kReasoning;
  if (reasoning == in_reasoning_) return;
  in_reasoning_ = reasoning;
  if (reasoning) {
    write_stdout(style_code(Stream::kOutput, Style::kDim));
  } else {
    write_stdout(style_code(Stream::kOutput, Style::kPlain));
    if (wrote_reasoning_) write_stdout("\n\n");
    line_open_ = false;
  }
}

void AnswerPrinter::show(const OutputEvent& event) {
  switch (event.kind) {
    case OutputEvent::Kind::kReasoning:
      if (!show_reasoning_) return;
      wrote_reasoning_ = true;
      [[fallthrough]];
    case OutputEvent::Kind::kContent:
      if (event.text.empty()) return;
      begin(event.kind);
      write(event.text);
      line_open_ = event.text.back() != '\n';
      return;
    case OutputEvent::Kind::kToolBegin:
      call_ = event;
      call_.text.clear();
      return;
    case OutputEvent::Kind::kToolArguments:
      call_.text += event.text;
      return;
    case OutputEvent::Kind::kToolEnd:
      begin(event.kind);
      if (line_open_) write_stdout("\n");
      write(fmt::format("{{\"name\": {}, \"arguments\": {}}}\n",
                        dump_json_python(json::value(call_.name)), call_.text));
      line_open_ = false;
      return;
  }
}

void AnswerPrinter::finish() {
  if (in_reasoning_) write_stdout(style_code(Stream::kOutput, Style::kPlain));
  in_reasoning_ = false;
  if (line_open_) write_stdout("\n");
  line_open_ = false;
}

namespace {

// "41 of 60 kept (first 82 %, second 64 %), 9 found in the text, 2.1 tokens a step, 0.2 s
// drafting".
std::string describe_drafts(const DraftStats& drafts, int64_t generated) {
  std::string places;
  for (size_t i = 0; i < drafts.drafted.size() && drafts.drafted[i] > 0; ++i) {
    places += fmt::format(
        "{}{:.0f} %", places.empty() ? "by place " : ", ",
        100.0 * static_cast<double>(drafts.accepted[i]) / static_cast<double>(drafts.drafted[i]));
  }
  const double steps = static_cast<double>(std::max<int64_t>(drafts.steps, 1));
  return fmt::format("{} of {} kept ({}), {} found in the text, {:.2f} tokens a step, {} drafting",
                     drafts.total_accepted(), drafts.total_drafted(), places, drafts.looked_up,
                     static_cast<double>(generated) / steps, format_seconds(drafts.draft_seconds));
}

}  // namespace

std::string describe_timings(const CompletionResult& r) {
  const int64_t computed = r.prompt_tokens - r.reused_tokens;
  const auto generated = static_cast<int64_t>(r.tokens.size());
  TextTable table({1});
  table.row({"prompt",
             fmt::format("{} tokens, {} reused, {}{}", r.prompt_tokens, r.reused_tokens,
                         format_seconds(r.prefill_seconds), speed(computed, r.prefill_seconds))});
  table.row(
      {"answer", fmt::format("{} tokens, {}{}, {}", generated, format_seconds(r.decode_seconds),
                             speed(generated, r.decode_seconds), finish_reason_name(r.reason))});
  if (r.drafts.total_drafted() > 0) table.row({"drafts", describe_drafts(r.drafts, generated)});
  return table.text();
}

}  // namespace headgate
