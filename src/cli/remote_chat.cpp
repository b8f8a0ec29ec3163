// The loop of a remote conversation, and reading of the server's events.
#include "cli/remote_chat.h"

#include <utility>

#include "base/error.h"
#include "chat/message.h"
#include "cli/assistant.h"
#include "cli/http_client.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

std::string text_of(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string()
             ? std::string(value->get_string().data(), value->get_string().size())
             : "";
}

// Puts an answer together from the deltas of its chunks.
class AnswerReader {
 public:
  void take(std::string_view event) {
    const json::value chunk = parse_json(event, "event of the server");
    if (const json::value* error =
            chunk.is_object() ? chunk.get_object().if_contains("error") : nullptr)
      fail(ErrorCode::kInternal, "the server ended the answer: {}",
           error->is_object() ? text_of(error->get_object(), "message") : "");
    const json::value* choices =
        chunk.is_object() ? chunk.get_object().if_contains("choices") : nullptr;
    if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return;
    const json::value* delta = choices->get_array()[0].is_object()
                                   ? choices->get_array()[0].get_object().if_contains("delta")
                                   : nullptr;
    if (delta != nullptr && delta->is_object()) take_delta(delta->get_object());
  }

  Message finish() {
    end_call();
    printer_.finish();
    return std::move(message_);
  }

 private:
  void take_delta(const json::object& delta) {
    const std::string reasoning = text_of(delta, "reasoning_content");
    if (!reasoning.empty()) printer_.show({OutputEvent::Kind::kReasoning, reasoning, -1, "", ""});
    const std::string content = text_of(delta, "content");
    if (!content.empty()) {
      message_.content = message_.content.value_or("") + content;
      printer_.show({OutputEvent::Kind::kContent, content, -1, "", ""});
    }
    const json::value* calls = delta.if_contains("tool_calls");
    if (calls == nullptr || !calls->is_array()) return;
    for (const json::value& call : calls->get_array())
      if (call.is_object()) take_call(call.get_object());
  }

  void take_call(const json::object& call) {
    const json::value* function = call.if_contains("function");
    if (function == nullptr || !function->is_object()) return;
    const std::string name = text_of(function->get_object(), "name");
    if (!name.empty()) {
      end_call();
      message_.tool_calls.push_back({text_of(call, "id"), name, ""});
      printer_.show({OutputEvent::Kind::kToolBegin, "", 0, text_of(call, "id"), name});
      call_open_ = true;
    }
    const std::string arguments = text_of(function->get_object(), "arguments");
    if (arguments.empty() || message_.tool_calls.empty()) return;
    message_.tool_calls.back().arguments += arguments;
    printer_.show({OutputEvent::Kind::kToolArguments, arguments, 0, "", ""});
  }

  void end_call() {
    if (call_open_) printer_.show({OutputEvent::Kind::kToolEnd, "", 0, "", ""});
    call_open_ = false;
  }

  AnswerPrinter printer_{/*show_reasoning=*/is_terminal(Stream::kOutput)};
  Message message_{"assistant", std::nullopt, std::nullopt, {}, "", ""};
  bool call_open_ = false;
};

std::string first_model(HttpClient& client) {
  const json::value list = client.get("/v1/models");
  const json::value* data = list.is_object() ? list.get_object().if_contains("data") : nullptr;
  if (data == nullptr || !data->is_array() || data->get_array().empty() ||
      !data->get_array()[0].is_object())
    fail(ErrorCode::kNotFound, "{}: no models", client.url());
  return text_of(data->get_array()[0].get_object(), "id");
}

}  // namespace

int remote_chat(const RemoteChatOptions& options, const std::function<bool(std::string&)>& read) {
  HttpClient client(options.server, options.key);
  const std::string model = options.model ? *options.model : first_model(client);
  report_note(printable(fmt::format("{} at {}", model, client.url())));
  std::vector<Message> messages;
  if (options.system) messages.push_back({"system", *options.system, std::nullopt, {}, "", ""});
  std::string input;
  while (read(input)) {
    messages.push_back({"user", input, std::nullopt, {}, "", ""});
    json::object body = options.fields;
    body["model"] = model;
    body["stream"] = true;
    body["messages"] = messages_to_json(messages);
    if (!options.tools.empty()) body["tools"] = options.tools;
    AnswerReader reader;
    try {
      InterruptScope::reset();
      client.stream(
          "/v1/chat/completions", body, [&](std::string_view event) { reader.take(event); },
          [] { return InterruptScope::interrupted(); });
      messages.push_back(reader.finish());
    } catch (const Error& error) {
      reader.finish();
      messages.pop_back();
      report_error(error.what());
      if (!is_terminal(Stream::kInput)) return exit_code(error.code());
    }
  }
  return 0;
}

}  // namespace headgate
