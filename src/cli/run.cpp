// headgate run: one prompt, one answer.
#include <fmt/core.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "chat/answer_stream.h"
#include "chat/message.h"
#include "cli/args.h"
#include "cli/assistant.h"
#include "cli/commands.h"
#include "cli/constraint_options.h"
#include "cli/format.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/sampling_options.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct RunOptions {
  ModelOptions model;
  SamplingOptions sampling;
  ConstraintOptions form;
  std::optional<std::string> prompt, file;
  std::optional<std::string> system, tools, messages, ids, kwargs;
  std::optional<bool> think;
  bool raw = false;
  bool print_ids = false;
  bool json = false;
  bool verbose = false;
};

void check_options(const RunOptions& o) {
  const auto refuse = [](bool both, const char* a, const char* b) {
    if (both) fail(ErrorCode::kInvalidArgument, "{} and {}: expected one of them", a, b);
  };
  const bool chat_option = o.system || o.tools || o.messages || o.think || o.kwargs;
  refuse(o.raw && chat_option, "--raw", "an option of chats (--system, --tools, --think, ...)");
  refuse(o.ids && (chat_option || o.raw), "--ids", "an option of texts");
  refuse(o.ids && (o.prompt || o.file), "--ids", "a prompt");
  refuse(o.messages && (o.prompt || o.file), "--messages", "a prompt");
  refuse(o.messages && o.system, "--messages", "--system");
  refuse(o.json && o.print_ids, "--json", "--print-ids");
  const bool form = o.form.json_schema || o.form.grammar || o.form.regex || o.form.tool_choice;
  refuse(o.ids && o.print_ids && form, "--print-ids with --ids", "a form of the answer");
}

ChatPrompt read_chat(const RunOptions& o) {
  ChatPrompt chat;
  if (o.messages) {
    const std::string text = read_file_or_stdin(*o.messages);
    chat.messages = read_messages(parse_json(text, *o.messages), *o.messages);
  } else {
    if (o.system) chat.messages.push_back(json::object{{"role", "system"}, {"content", *o.system}});
    const std::string prompt = read_text_input(o.prompt, o.file, "prompt");
    chat.messages.push_back(json::object{{"role", "user"}, {"content", prompt}});
  }
  if (o.tools) chat.tools = parse_tools(read_file_or_stdin(*o.tools), *o.tools);
  if (o.kwargs) chat.template_kwargs = parse_json_object(*o.kwargs, "--kwargs");
  if (o.think) chat.template_kwargs["enable_thinking"] = *o.think;
  return chat;
}

// Everything is read and checked before a large model is loaded.
CompletionRequest read_request(const RunOptions& o) {
  check_options(o);
  CompletionRequest request;
  if (o.ids) {
    request.ids = read_ids(*o.ids);
    if (request.ids.empty()) fail(ErrorCode::kInvalidArgument, "{}: no token ids", *o.ids);
  } else if (o.raw) {
    request.text = read_text_input(o.prompt, o.file, "prompt");
  } else {
    request.chat = read_chat(o);
  }
  request.stop = o.sampling.stop;
  request.max_tokens = o.sampling.max_tokens;
  request.cancel = &InterruptScope::flag();
  return request;
}

json::object logprob_json(const Tokenizer& tokenizer, const SampledToken& token) {
  json::array top;
  for (const TokenLogprob& other : token.top_logprobs)
    top.push_back(json::object{{"id", other.token},
                               {"text", tokenizer.token_text(other.token)},
                               {"logprob", other.logprob}});
  return {{"id", token.token},
          {"text", tokenizer.token_text(token.token)},
          {"logprob", token.logprob},
          {"top", std::move(top)}};
}

json::object timings_json(const CompletionResult& r, double load_seconds) {
  return {{"load_seconds", load_seconds},
          {"prefill_seconds", r.prefill_seconds},
          {"decode_seconds", r.decode_seconds}};
}

// The names of OpenAI's usage object.
json::object draft_usage_json(const DraftStats& drafts) {
  return {{"accepted_prediction_tokens", drafts.total_accepted()},
          {"rejected_prediction_tokens", drafts.total_drafted() - drafts.total_accepted()}};
}

json::object result_json(const Assistant& assistant, const CompletionResult& r, uint64_t seed) {
  const auto text = [](const std::optional<std::string>& t) {
    return t ? json::value(*t) : json::value(nullptr);
  };
  json::array calls;
  for (const ToolCall& call : r.output.tool_calls)
    calls.push_back(
        json::object{{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  return {{"model", assistant.loaded.name()},
          {"content", text(r.output.content)},
          {"reasoning_content", text(r.output.reasoning_content)},
          {"tool_calls", std::move(calls)},
          {"finish_reason", r.output.finish_reason},
          {"ids", json::array(r.tokens.begin(), r.tokens.end())},
          {"seed", seed},
          {"usage", json::object{{"prompt_tokens", r.prompt_tokens},
                                 {"reused_tokens", r.reused_tokens},
                                 {"completion_tokens", r.tokens.size()},
                                 {"completion_tokens_details", draft_usage_json(r.drafts)}}},
          {"timings", timings_json(r, assistant.loaded.load_seconds)}};
}

void report_load(const LoadedModel& loaded) {
  TextTable table({1});
  table.row(
      {"model ", fmt::format("{}, {} of weights, {}, {}", printable(loaded.name()),
                             format_bytes(static_cast<double>(loaded.model->weight_bytes())),
                             loaded.backend->description(), format_seconds(loaded.load_seconds))});
  write_stderr(table.text());
}

// Ids in, ids out: no tokenizer, no template, no end tokens unless the length is open.
int run_ids(const RunOptions& o, CompletionRequest request) {
  const LoadedModel loaded = load_model(o.model);
  if (o.verbose) report_load(loaded);
  const ModelConfig& config = loaded.model->config();
  Session session(loaded.model, config.vocabulary, session_options(o.model, config));
  GenerationRequest generation;
  generation.prompt = std::move(request.ids);
  generation.sampling = sampling_params(sampling_defaults(loaded.checkpoint), o.sampling);
  generation.max_tokens = request.max_tokens;
  if (request.max_tokens < 0) generation.stop_tokens = config.eos_tokens;
  generation.cancel = request.cancel;
  const GenerationResult result = session.generate(generation);
  write_stdout(ids_to_json(result.tokens) + "\n");
  if (o.verbose) {
    CompletionResult timings;
    timings.tokens = result.tokens;
    timings.reason = result.reason;
    timings.prompt_tokens = result.prompt_tokens;
    timings.prefill_seconds = result.prefill_seconds;
    timings.decode_seconds = result.decode_seconds;
    timings.drafts = result.drafts;
    write_stderr(describe_timings(timings));
  }
  return result.reason == FinishReason::kCancelled ? exit_code(ErrorCode::kCancelled) : 0;
}

std::shared_ptr<const TokenConstraint> constraint_of(const ConstraintText& form,
                                                     const Assistant& assistant,
                                                     const Completion& completion,
                                                     const CompletionRequest& request) {
  auto reasoning = OutputParserOptions::Reasoning::kNone;
  ToolStyle style = ToolStyle::kNone;
  if (request.chat) {
    style = assistant.chat_template->tool_style();
    reasoning = answer_parser_options(*assistant.chat_template, completion.render(*request.chat),
                                      request.chat->tools, "call_")
                    .before_a_form();
  }
  return make_constraint(form, assistant.tokenizer, assistant.stop_tokens, style, reasoning);
}

int run(const RunOptions& o) {
  const InterruptScope interrupts;
  CompletionRequest request = read_request(o);
  const std::optional<ConstraintText> form =
      read_constraint(o.form, request.chat ? request.chat->tools : json::array());
  if (o.ids && o.print_ids) return run_ids(o, std::move(request));

  const Assistant assistant = load_assistant(o.model, /*with_template=*/request.chat.has_value());
  if (o.verbose) report_load(assistant.loaded);
  const std::unique_ptr<Session> session = assistant.make_session(o.model);
  request.sampling = sampling_params(assistant.sampling_defaults, o.sampling);
  request.stop_tokens = assistant.stop_tokens;
  ProgressBar bar("Reading", ProgressUnit::kTokens);
  request.on_prefill = [&bar](int64_t done, int64_t total) { bar.update(done, total); };
  AnswerPrinter printer(/*show_reasoning=*/is_terminal(Stream::kOutput));
  const bool streams = !o.json && !o.print_ids;
  json::array logprobs;
  request.on_token = [&](const SampledToken& token) {
    bar.finish();
    if (o.json && o.sampling.logprobs) logprobs.push_back(logprob_json(assistant.tokenizer, token));
  };
  if (streams) request.on_event = [&](const OutputEvent& event) { printer.show(event); };
  Completion completion(*session, assistant.tokenizer, assistant.template_or_null());
  if (form) request.constraint = constraint_of(*form, assistant, completion, request);
  const CompletionResult result = completion.run(request);
  bar.finish();

  if (streams) {
    printer.finish();
  } else if (o.print_ids) {
    write_stdout(ids_to_json(result.tokens) + "\n");
  } else {
    json::object out = result_json(assistant, result, request.sampling.seed);
    if (o.sampling.logprobs) out["logprobs"] = std::move(logprobs);
    write_stdout(dump_json_python(out) + "\n");
  }
  if (o.verbose) {
    write_stderr(describe_timings(result));
    write_stderr(fmt::format("choice  {}, seed {}\n", describe_sampling(request.sampling),
                             request.sampling.seed));
  }
  if (result.reason == FinishReason::kContext)
    report_note(fmt::format("the context of {} tokens is full", session->context()));
  return result.reason == FinishReason::kCancelled ? exit_code(ErrorCode::kCancelled) : 0;
}

}  // namespace

void add_run(CommandLine& line) {
  auto o = std::make_shared<RunOptions>();
  Command& command = line.add("run", "Answer one prompt");
  command.option("prompt", o->prompt, "What to ask; without it and -f standard input is read")
      .option("-f,--file", o->file, "Read the prompt from a file; - is standard input")
      .takes("FILE")
      .option("-s,--system", o->system, "System message")
      .flag("--think,!--no-think", o->think, "Ask the template for reasoning, or for none")
      .option("--tools", o->tools, "JSON file with an array of tools that the model may call")
      .takes("FILE")
      .option("--messages", o->messages, "JSON file with a whole conversation instead of a prompt")
      .takes("FILE")
      .option("--kwargs", o->kwargs, "More variables for the chat template")
      .takes("JSON")
      .flag("--raw", o->raw, "Continue the text as it is, without the chat template")
      .option("--ids", o->ids, "JSON file with token ids instead of a prompt")
      .takes("FILE")
      .flag("--print-ids", o->print_ids,
            "Print the ids of the answer instead of its text; with --ids and -n exactly N of them")
      .flag("--json", o->json, "Print one JSON object with answer, usage and timings")
      .flag("-v,--verbose", o->verbose, "Report times and speeds on standard error");
  add_constraint_options(command, o->form);
  add_sampling_options(command, o->sampling);
  add_model_options(command, o->model);
  add_draft_option(command, o->model);
  command.example("headgate run \"Why is the sky blue?\"", "ask the embedded model")
      .example("headgate run -m model.gguf -f question.txt -n 200 -v",
               "another model, with timings")
      .example("git diff | headgate run -s \"Summarise this change in one line.\"",
               "a prompt from another program")
      .example("headgate run --json-schema person.json \"Invent a person.\"", "an answer in a form")
      .example("headgate run --raw --temp 0 \"Once upon a time\"", "continue a text")
      .example("headgate run -m DIR --ids ids.json --n 32 --temp 0 --print-ids", "ids in, ids out")
      .action([o] { return run(*o); });
}

}  // namespace headgate
