// headgate session: conversations kept with the model's state, so that they go on at once.
#include <fmt/core.h>

#include <chrono>
#include <ctime>

#include "base/error.h"
#include "base/file.h"
#include "cli/args.h"
#include "cli/assistant.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/session_store.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct SessionCommand {
  ModelOptions model;
  std::string action;
  std::optional<std::string> name, file, conversation;
  std::string folder;
  bool json = false;
};

std::string required_name(const SessionCommand& o) {
  if (!o.name) fail(ErrorCode::kInvalidArgument, "session {}: needs a name", o.action);
  return *o.name;
}

std::string when_text(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::localtime_r(&time, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts));
}

int list(const SessionCommand& o) {
  const std::vector<SavedSession> sessions = SessionStore(o.folder).list();
  if (o.json) {
    json::array out;
    for (const SavedSession& each : sessions) {
      out.push_back(json::object{{"name", each.name},
                                 {"tokens", each.tokens},
                                 {"bytes", each.bytes},
                                 {"modified", each.modified},
                                 {"problem", each.problem}});
    }
    write_stdout(dump_json_python(out, 2) + "\n");
    return 0;
  }
  TextTable table({1, 2, 3, 4});
  table.row({"name", "tokens", "MB", "saved"});
  for (const SavedSession& each : sessions) {
    table.row({printable(each.name), each.problem.empty() ? format_digits(each.tokens) : "damaged",
               fmt::format("{:.1f}", static_cast<double>(each.bytes) / 1e6),
               when_text(each.modified)});
  }
  write_stdout(table.text());
  return 0;
}

void report(const char* what, const std::string& name, int64_t tokens, int64_t bytes,
            double seconds) {
  write_stdout(fmt::format("{} {}: {} tokens, {:.1f} MB in {:.3f} s\n", what, printable(name),
                           format_digits(tokens), static_cast<double>(bytes) / 1e6, seconds));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Reads a text or a conversation and keeps the state after it.
int save(const SessionCommand& o) {
  const std::string name = required_name(o);
  const SessionStore store(o.folder);
  const std::string path = store.path_of(name);
  if (o.file.has_value() == o.conversation.has_value()) {
    fail(ErrorCode::kInvalidArgument,
         "session save: expected either --file (a text) or --conversation (messages)");
  }
  Conversation conversation;
  if (o.conversation) conversation.load(*o.conversation);
  const InterruptScope interrupts;
  const Assistant assistant = load_assistant(o.model, o.conversation.has_value());
  const std::unique_ptr<Session> session = assistant.make_session(o.model);
  const Completion completion(*session, assistant.tokenizer, assistant.template_or_null());
  std::vector<int32_t> ids;
  if (o.conversation) {
    ids = stable_prefix(completion, conversation);
  } else {
    CompletionRequest request;
    request.text = read_text_file(*o.file);
    ids = completion.prompt_ids(request);
  }
  ProgressBar bar("Reading", ProgressUnit::kTokens);
  session->read(ids, [&bar](int64_t done, int64_t total) { bar.update(done, total); });
  bar.finish();
  store.make_folder();
  const auto start = std::chrono::steady_clock::now();
  const int64_t bytes = session->save(path, state_identity(assistant.loaded, o.model),
                                      o.conversation ? conversation_note(conversation) : "");
  report("saved", name, session->position(), bytes, seconds_since(start));
  return 0;
}

// Reads a session as `chat --session` would, and says how long that took.
int load(const SessionCommand& o) {
  const std::string name = required_name(o);
  const SessionStore store(o.folder);
  if (!store.has(name)) fail(ErrorCode::kNotFound, "session {}: not found", name);
  const InterruptScope interrupts;
  const Assistant assistant = load_assistant(o.model, false);
  const std::unique_ptr<Session> session = assistant.make_session(o.model);
  const auto start = std::chrono::steady_clock::now();
  (void)session->load(store.path_of(name), state_identity(assistant.loaded, o.model));
  const double seconds = seconds_since(start);
  for (const SavedSession& each : store.list()) {
    if (each.name == name) report("loaded", name, session->position(), each.bytes, seconds);
  }
  return 0;
}

int remove(const SessionCommand& o) {
  SessionStore(o.folder).remove(required_name(o));
  write_stdout(fmt::format("removed {}\n", printable(*o.name)));
  return 0;
}

int run(const SessionCommand& o) {
  if (o.action == "save") return save(o);
  if (o.action == "load") return load(o);
  return o.action == "rm" ? remove(o) : list(o);
}

}  // namespace

void add_session(CommandLine& line) {
  auto o = std::make_shared<SessionCommand>();
  Command& command = line.add("session", "Keep conversations with the model's state");
  command
      .choice("action", o->action, {"save", "load", "list", "rm"},
              "save NAME, load NAME, list, or rm NAME")
      .required()
      .option("name", o->name, "Name of the session")
      .option("-f,--file", o->file, "Text to read and keep, for save")
      .takes("FILE")
      .option("--conversation", o->conversation, "Conversation saved by /save, for save")
      .takes("FILE")
      .option("--sessions", o->folder,
              "Folder of sessions; default: sessions in the user's state folder")
      .takes("DIR")
      .flag("--json", o->json, "As JSON");
  add_model_options(command, o->model);
  command.example("headgate chat --session notes", "a conversation that goes on where it was")
      .example("headgate session save book -f book.txt", "a long text, read once")
      .example("headgate session list", "what is kept")
      .action([o] { return run(*o); });
}

}  // namespace headgate
