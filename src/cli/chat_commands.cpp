// Commands of the chat prompt: a table of names, each with one short function.
#include "cli/chat_commands.h"

#include <fmt/core.h>

#include "base/error.h"
#include "base/file.h"
#include "chat/message.h"
#include "cli/input.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct CommandCall {
  Conversation& conversation;
  std::string rest;  // what follows the name
  const SamplingParams& defaults;
};

struct ChatCommand {
  const char* name;
  const char* arguments;
  const char* help;
  ChatAction (*run)(CommandCall& call);
};

void say(const std::string& text) {
  write_stdout(styled(Stream::kOutput, Style::kDim, printable(text)) + "\n");
}

const std::string& required_rest(const CommandCall& call, const char* usage) {
  if (call.rest.empty()) fail(ErrorCode::kInvalidArgument, "expected {}", usage);
  return call.rest;
}

void show_settings(const CommandCall& call) {
  const SamplingOptions& options = call.conversation.sampling;
  say(describe_sampling(sampling_params(call.defaults, options)));
  say(fmt::format("max-tokens {}, seed {}", options.max_tokens,
                  options.seed ? std::to_string(*options.seed) : "another one each time"));
  if (!call.conversation.template_kwargs.empty())
    say("template: " + dump_json_python(call.conversation.template_kwargs));
}

ChatAction on_set(CommandCall& call) {
  if (call.rest.empty()) {
    show_settings(call);
    return ChatAction::kNothing;
  }
  const size_t space = call.rest.find(' ');
  if (space == std::string::npos)
    fail(ErrorCode::kInvalidArgument, "expected /set NAME VALUE, such as /set temp 0.3");
  SamplingOptions changed = call.conversation.sampling;
  set_sampling_option(changed, call.rest.substr(0, space), call.rest.substr(space + 1));
  // Refused now rather than at the next question.
  check_sampling_params(sampling_params(call.defaults, changed), 1 << 30);
  call.conversation.sampling = std::move(changed);
  show_settings(call);
  return ChatAction::kNothing;
}

ChatAction on_clear(CommandCall& call) {
  call.conversation.clear();
  say("The conversation is empty again.");
  return ChatAction::kNothing;
}

ChatAction on_save(CommandCall& call) {
  call.conversation.save(required_rest(call, "/save FILE"));
  say(fmt::format("Saved {} messages to {}.", call.conversation.messages.size(), call.rest));
  return ChatAction::kNothing;
}

ChatAction on_load(CommandCall& call) {
  call.conversation.load(required_rest(call, "/load FILE"));
  say(fmt::format("Loaded {} messages from {}.", call.conversation.messages.size(), call.rest));
  return ChatAction::kNothing;
}

ChatAction on_regen(CommandCall& call) {
  if (!call.conversation.drop_last_answer())
    fail(ErrorCode::kInvalidArgument, "nothing was asked yet");
  return ChatAction::kAnswer;
}

ChatAction on_system(CommandCall& call) {
  call.conversation.set_system(call.rest);
  say(call.rest.empty() ? "No system message." : "The system message is set.");
  return ChatAction::kNothing;
}

ChatAction on_think(CommandCall& call) {
  if (call.rest != "on" && call.rest != "off")
    fail(ErrorCode::kInvalidArgument, "expected /think on or /think off");
  call.conversation.template_kwargs["enable_thinking"] = call.rest == "on";
  say("Reasoning is " + call.rest + ", where the model's template knows the switch.");
  return ChatAction::kNothing;
}

ChatAction on_tools(CommandCall& call) {
  if (required_rest(call, "/tools FILE or /tools off") == "off") {
    call.conversation.tools.clear();
    say("No tools.");
    return ChatAction::kNothing;
  }
  call.conversation.tools = parse_tools(read_text_file(call.rest), call.rest);
  say(fmt::format("{} tools. When the model calls one, you are asked for its result.",
                  call.conversation.tools.size()));
  return ChatAction::kNothing;
}

ChatAction on_exit(CommandCall&) { return ChatAction::kLeave; }

ChatAction on_help(CommandCall& call);

constexpr ChatCommand kCommands[] = {
    {"/help", "", "Show this list", on_help},
    {"/set", "[NAME VALUE]", "Show or change temp, top-k, top-p, min-p, seed, max-tokens, ...",
     on_set},
    {"/system", "[TEXT]", "Set the system message; without a text there is none", on_system},
    {"/think", "on|off", "Ask for reasoning, or for none", on_think},
    {"/tools", "FILE|off", "Offer the tools of a JSON file to the model", on_tools},
    {"/regen", "", "Answer the last question again", on_regen},
    {"/clear", "", "Forget the conversation, but not the system message", on_clear},
    {"/save", "FILE", "Write the conversation to a JSON file", on_save},
    {"/load", "FILE", "Go on with a saved conversation", on_load},
    {"/exit", "", "Leave; so does Ctrl-D, or Ctrl-C on an empty line", on_exit},
};

ChatAction on_help(CommandCall&) {
  for (const ChatCommand& command : kCommands)
    print("  {:<22}{}\n", fmt::format("{} {}", command.name, command.arguments), command.help);
  print(
      "  A line that ends in \\ goes on in the next one; \"\"\" begins and ends a longer text.\n"
      "  Ctrl-C stops an answer.\n");
  return ChatAction::kNothing;
}

bool has_role(const json::value& message, std::string_view role) {
  const json::value* found = message.get_object().if_contains("role");
  return found != nullptr && found->is_string() && found->get_string() == role;
}

std::string trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\n") - first + 1));
}

}  // namespace

void Conversation::set_system(const std::string& text) {
  if (!messages.empty() && has_role(messages.front(), "system")) messages.erase(messages.begin());
  if (!text.empty())
    messages.insert(messages.begin(), json::object{{"role", "system"}, {"content", text}});
}

void Conversation::add_user(const std::string& text) {
  messages.push_back(json::object{{"role", "user"}, {"content", text}});
}

void Conversation::add_answer(const OutputSummary& answer) {
  Message message;
  message.role = "assistant";
  message.content = answer.content.value_or("");
  message.reasoning_content = answer.reasoning_content;
  message.tool_calls = answer.tool_calls;
  messages.push_back(message_to_json(message));
}

void Conversation::add_tool_result(const std::string& call_id, const std::string& text) {
  messages.push_back(json::object{{"role", "tool"}, {"content", text}, {"tool_call_id", call_id}});
}

void Conversation::clear() {
  const bool keep = !messages.empty() && has_role(messages.front(), "system");
  messages.erase(messages.begin() + (keep ? 1 : 0), messages.end());
}

bool Conversation::drop_last_answer() {
  for (size_t at = messages.size(); at > 0; --at) {
    if (!has_role(messages[at - 1], "user")) continue;
    messages.erase(messages.begin() + static_cast<int64_t>(at), messages.end());
    return true;
  }
  return false;
}

void Conversation::drop_last_message() { messages.pop_back(); }

void Conversation::save(const std::string& file) const {
  json::object out{{"messages", messages}};
  if (!tools.empty()) out["tools"] = tools;
  if (!template_kwargs.empty()) out["chat_template_kwargs"] = template_kwargs;
  write_text_file(file, dump_json_python(out, 2) + "\n");
}

void Conversation::load(const std::string& file) {
  const std::string text = read_text_file(file, int64_t{64} << 20);
  const json::value parsed = parse_json(text, file);
  const json::object* object = parsed.if_object();
  json::array read = read_messages(
      object != nullptr && object->contains("messages") ? object->at("messages") : parsed, file);
  json::array read_tools;
  json::object kwargs;
  if (object != nullptr && object->contains("tools")) read_tools = parse_tools(text, file);
  if (object != nullptr && object->contains("chat_template_kwargs"))
    if (const json::object* found = object->at("chat_template_kwargs").if_object()) kwargs = *found;
  messages = std::move(read);
  tools = std::move(read_tools);
  template_kwargs = std::move(kwargs);
}

bool is_chat_command(std::string_view input) { return !input.empty() && input[0] == '/'; }

std::vector<std::string> chat_command_names() {
  std::vector<std::string> names;
  for (const ChatCommand& command : kCommands) names.emplace_back(command.name);
  return names;
}

ChatAction run_chat_command(Conversation& conversation, const std::string& input,
                            const SamplingParams& defaults) {
  const size_t end = input.find_first_of(" \t\n");
  std::string name = input.substr(0, end);
  if (name == "/quit") name = "/exit";
  CommandCall call{conversation, end == std::string::npos ? "" : trim(input.substr(end)), defaults};
  for (const ChatCommand& command : kCommands)
    if (name == command.name) return command.run(call);
  fail(ErrorCode::kInvalidArgument, "no command {} (/help lists them)", name);
}

}  // namespace headgate
