// headgate chat: a conversation at the terminal.
#include <fmt/core.h>

#include "base/error.h"
#include "base/file.h"
#include "cache/state_file.h"
#include "cli/args.h"
#include "cli/assistant.h"
#include "cli/chat_commands.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/http_client.h"
#include "cli/input.h"
#include "cli/line_editor.h"
#include "cli/progress.h"
#include "cli/remote_chat.h"
#include "cli/session_store.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct ChatOptions {
  ModelOptions model;
  SamplingOptions sampling;
  std::optional<std::string> system, tools, load, session;
  std::string sessions;
  std::optional<bool> think;
  bool no_history = false;
  bool verbose = false;
  std::optional<std::string> server, key_file;
  std::optional<std::string> server_model;  // its name at the server
};

// Ctrl-C stops an answer; only somebody who hammers on it wants the program to die.
constexpr int kPressesToKill = 5;
constexpr std::string_view kQuotes = "\"\"\"";

enum class InputResult { kText, kNothing, kLeave };

// Whole inputs: a line, lines joined by backslashes, or a text between """.
class Prompter {
 public:
  explicit Prompter(const std::string& history) : editor_(history, chat_command_names()) {}

  InputResult read(const std::string& prompt, std::string& input) {
    input.clear();
    std::string line;
    switch (read_line(prompt, line)) {
      case LineResult::kEnd:
        return InputResult::kLeave;
      case LineResult::kInterrupted:
        return line.empty() ? InputResult::kLeave : InputResult::kNothing;
      case LineResult::kLine:
        break;
    }
    const bool complete = line.starts_with(kQuotes) ? read_quoted(line, input)
                                                    : read_continued(std::move(line), input);
    if (!complete) return InputResult::kNothing;
    if (input.find_first_not_of(" \t\n") == std::string::npos) return InputResult::kNothing;
    editor_.remember(input);
    return InputResult::kText;
  }

 private:
  LineResult read_line(const std::string& prompt, std::string& line) {
    InterruptScope::reset();
    return editor_.read(prompt, line);
  }

  // False when the person changed their mind.
  bool read_continued(std::string line, std::string& input) {
    while (!line.empty() && line.back() == '\\') {
      line.pop_back();
      input += line + "\n";
      if (read_line(more_, line) != LineResult::kLine) return false;
    }
    input += line;
    return true;
  }

  bool read_quoted(std::string line, std::string& input) {
    line.erase(0, kQuotes.size());
    while (!line.ends_with(kQuotes)) {
      if (!(input.empty() && line.empty())) input += line + "\n";
      if (read_line(more_, line) != LineResult::kLine) return false;
    }
    input += line.substr(0, line.size() - kQuotes.size());
    return true;
  }

  LineEditor editor_;
  std::string more_ = styled(Stream::kOutput, Style::kDim, "…") + " ";
};

class Chat {
 public:
  Chat(const ChatOptions& options, const Assistant& assistant, Conversation conversation)
      : options_(options),
        assistant_(assistant),
        conversation_(std::move(conversation)),
        session_(assistant.make_session(options.model)),
        completion_(*session_, assistant.tokenizer, assistant.template_or_null()),
        store_(options.sessions),
        prompter_(options.no_history ? "" : state_file("chat_history")) {}

  int run() {
    if (options_.session) resume();
    greet();
    while (!InterruptScope::terminated()) {
      std::string input;
      const InputResult read = prompter_.read(prompt(), input);
      if (read == InputResult::kLeave) break;
      if (read == InputResult::kNothing) continue;
      try {
        if (!handle(input)) break;
      } catch (const Error& error) {
        report_error(error.what());
      }
    }
    if (options_.session) keep();
    return 0;
  }

 private:
  // Takes up the session that has the name, if there is one.
  void resume() {
    const std::string path = store_.path_of(*options_.session);
    identity_ = state_identity(assistant_.loaded, options_.model);
    if (!store_.has(*options_.session)) return;
    std::string note;
    try {
      note = session_->load(path, identity_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      // The words are still good: only the state has to be computed again.
      note = read_state_header(path).note;
      report_note(std::string(error.what()) + "; it is read again");
    }
    Conversation saved = conversation_;
    if (!read_conversation_note(note, saved)) return;
    saved.sampling = conversation_.sampling;
    conversation_ = std::move(saved);
    report_note(fmt::format("session {}: {} messages, {} tokens", printable(*options_.session),
                            conversation_.messages.size(), session_->position()));
  }

  void keep() {
    if (conversation_.messages.empty()) return;
    store_.make_folder();
    InterruptScope::reset();
    const std::vector<int32_t> ids = stable_prefix(completion_, conversation_);
    if (static_cast<int64_t>(ids.size()) >= session_->context()) return say_context_full();
    session_->read(ids);
    (void)session_->save(store_.path_of(*options_.session), identity_,
                         conversation_note(conversation_));
  }

  void greet() const {
    if (!is_terminal(Stream::kInput) || !is_terminal(Stream::kError)) return;
    const ModelConfig& config = assistant_.loaded.model->config();
    write_stderr(fmt::format(
        "{} {}, {} parameters, {} tokens of context\n{}\n",
        styled(Stream::kError, Style::kBold, "headgate"), printable(assistant_.loaded.name()),
        format_count(static_cast<double>(model_size(config).parameters)),
        format_digits(session_->context()),
        styled(Stream::kError, Style::kDim,
               "/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves")));
  }

  std::string prompt() const {
    if (!calls_.empty())
      return styled(Stream::kOutput, Style::kCyan,
                    fmt::format("{}() =", printable(calls_.front().name))) +
             " ";
    // The last byte is a plain one: libedit drops an escape sequence at the end of a prompt.
    return styled(Stream::kOutput, Style::kGreen, ">") + " ";
  }

  // False to leave.
  bool handle(const std::string& input) {
    if (is_chat_command(input)) {
      const ChatAction action =
          run_chat_command(conversation_, input, assistant_.sampling_defaults);
      if (action != ChatAction::kNothing || input.starts_with("/clear") ||
          input.starts_with("/load"))
        calls_.clear();
      if (action == ChatAction::kAnswer) answer();
      return action != ChatAction::kLeave;
    }
    if (calls_.empty()) {
      conversation_.add_user(input);
    } else {
      conversation_.add_tool_result(calls_.front().id, input);
      calls_.erase(calls_.begin());
      if (!calls_.empty()) return true;
    }
    answer();
    return true;
  }

  void answer() {
    CompletionRequest request;
    request.chat = conversation_.prompt();
    request.sampling = sampling_params(assistant_.sampling_defaults, conversation_.sampling);
    request.max_tokens = conversation_.sampling.max_tokens;
    request.stop = conversation_.sampling.stop;
    request.stop_tokens = assistant_.stop_tokens;
    request.cancel = &InterruptScope::flag();
    InterruptScope::reset();
    if (!fits(request)) return;

    ProgressBar bar("Reading", ProgressUnit::kTokens);
    request.on_prefill = [&bar](int64_t done, int64_t total) { bar.update(done, total); };
    AnswerPrinter printer(/*show_reasoning=*/is_terminal(Stream::kOutput));
    request.on_token = [&bar](const SampledToken&) { bar.finish(); };
    request.on_event = [&printer](const OutputEvent& event) { printer.show(event); };
    const CompletionResult result = completion_.run(request);
    bar.finish();
    printer.finish();
    conversation_.add_answer(result.output);
    calls_ = result.output.tool_calls;
    if (result.reason == FinishReason::kCancelled) report_note("stopped");
    if (result.reason == FinishReason::kContext) say_context_full();
    if (options_.verbose) write_stderr(describe_timings(result));
  }

  // Takes the question back when the conversation has outgrown the context.
  bool fits(const CompletionRequest& request) {
    const auto tokens = static_cast<int64_t>(completion_.prompt_ids(request).size());
    if (tokens < session_->context()) return true;
    conversation_.drop_last_message();
    report_error(fmt::format("the conversation takes {} tokens, the context holds {}", tokens,
                             session_->context()));
    say_context_full();
    return false;
  }

  void say_context_full() const {
    report_note("the context is full: /save FILE keeps the conversation, /clear starts a new one");
  }

  const ChatOptions& options_;
  const Assistant& assistant_;
  Conversation conversation_;
  std::unique_ptr<Session> session_;
  Completion completion_;
  SessionStore store_;
  std::string identity_;
  Prompter prompter_;
  std::vector<ToolCall> calls_;  // of the last answer that have no result yet
};

Conversation first_conversation(const ChatOptions& o) {
  Conversation conversation;
  conversation.sampling = o.sampling;
  if (o.load) conversation.load(*o.load);
  if (o.system) conversation.set_system(*o.system);
  if (o.tools) conversation.tools = parse_tools(read_text_file(*o.tools), *o.tools);
  if (o.think) conversation.template_kwargs["enable_thinking"] = *o.think;
  return conversation;
}

// The options of sampling as fields of a request.
json::object request_fields(const ChatOptions& o) {
  json::object fields;
  const auto set = [&fields](const char* name, const auto& value) {
    if (value) fields[name] = *value;
  };
  set("temperature", o.sampling.temperature);
  set("top_p", o.sampling.top_p);
  set("min_p", o.sampling.min_p);
  set("typical_p", o.sampling.typical_p);
  set("top_k", o.sampling.top_k);
  set("repetition_penalty", o.sampling.repeat_penalty);
  set("presence_penalty", o.sampling.presence_penalty);
  set("frequency_penalty", o.sampling.frequency_penalty);
  set("seed", o.sampling.seed);
  if (o.sampling.max_tokens > 0) fields["max_tokens"] = o.sampling.max_tokens;
  if (!o.sampling.stop.empty())
    fields["stop"] = json::array(o.sampling.stop.begin(), o.sampling.stop.end());
  if (o.think) fields["chat_template_kwargs"] = json::object{{"enable_thinking", *o.think}};
  return fields;
}

int chat_with_server(const ChatOptions& o) {
  if (o.load || o.session) {
    fail(ErrorCode::kInvalidArgument, "{}: found with --server, which keeps no conversations",
         o.load ? "--load" : "--session");
  }
  RemoteChatOptions remote;
  remote.server = *o.server;
  remote.key = client_key(o.key_file);
  remote.model = o.server_model;
  remote.system = o.system;
  if (o.tools) remote.tools = parse_tools(read_text_file(*o.tools), *o.tools);
  remote.fields = request_fields(o);
  const InterruptScope interrupts(kPressesToKill);
  Prompter prompter(o.no_history ? std::string() : state_file("chat_history"));
  return remote_chat(remote, [&](std::string& input) {
    InputResult result = InputResult::kNothing;
    while (result == InputResult::kNothing) result = prompter.read("> ", input);
    return result == InputResult::kText && input != "/bye";
  });
}

int chat(const ChatOptions& o) {
  if (o.server) return chat_with_server(o);
  Conversation conversation = first_conversation(o);
  // Ctrl-C while loading ends the program; from the prompt on it stops answers.
  Assistant assistant = [&o] {
    const InterruptScope loading;
    return load_assistant(o.model);
  }();
  const InterruptScope interrupts(kPressesToKill);
  return Chat(o, assistant, std::move(conversation)).run();
}

}  // namespace

void add_chat(CommandLine& line) {
  auto o = std::make_shared<ChatOptions>();
  Command& command = line.add("chat", "Talk to a model");
  command.option("-s,--system", o->system, "System message")
      .flag("--think,!--no-think", o->think, "Ask the template for reasoning, or for none")
      .option("--tools", o->tools, "JSON file with an array of tools that the model may call")
      .takes("FILE")
      .option("--load", o->load, "Go on with a conversation saved by /save")
      .takes("FILE")
      .option("--session", o->session,
              "Go on with the session of this name, and keep it at the end")
      .takes("NAME")
      .option("--sessions", o->sessions,
              "Folder of sessions; default: sessions in the user's state folder")
      .takes("DIR")
      .option("--server", o->server, "Talk to a model behind an OpenAI-compatible server instead")
      .takes("URL")
      .option("--server-model", o->server_model,
              "Its name there; default: the first that the server lists")
      .takes("NAME")
      .option("--api-key-file", o->key_file,
              "File with the server's API key; else HEADGATE_API_KEY")
      .takes("FILE")
      .flag("--no-history", o->no_history, "Neither read nor write the history of inputs")
      .flag("-v,--verbose", o->verbose, "Report speeds after each answer");
  add_sampling_options(command, o->sampling);
  add_model_options(command, o->model);
  add_draft_option(command, o->model);
  command.example("headgate chat", "talk to the embedded model")
      .example("headgate chat --server http://127.0.0.1:8000",
               "talk to what `headgate serve` serves")
      .example("headgate chat -m model.gguf -s \"You are terse.\" --temp 0.3",
               "another model, with a system message")
      .action([o] { return chat(*o); });
}

}  // namespace headgate
