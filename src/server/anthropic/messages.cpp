// Answers in Anthropic's form, whole and streamed.
#include "server/anthropic/messages.h"

#include <utility>

#include "base/error.h"
#include "control/secret.h"
#include "server/generation.h"
#include "server/openai/chat_completions.h"
#include "server/openai/generation_fields.h"
#include "server/openai/output_rules.h"

namespace headgate {
namespace {

constexpr FieldRule kConversation[] = {
    {"model", FieldKind::kText, 1, 512, "Name of the model"},
    {"messages", FieldKind::kList, 1, kMostMessages, "The conversation"},
    {"system", FieldKind::kAny, 0, 0, "A text, or blocks of type text"},
    {"tools", FieldKind::kList, 0, kMostTools, "Tools that the model may use"},
    {"tool_choice", FieldKind::kObject, 1, 8, "auto, any, tool or none"},
    {"thinking", FieldKind::kObject, 1, 8, "enabled (with budget_tokens), adaptive or disabled"},
    {"cache_control", FieldKind::kObject, 0, 8, "Accepted: prefixes are always cached"},
};

constexpr FieldRule kMessage[] = {
    {"max_tokens", FieldKind::kInteger, 1, 1 << 30, "Tokens of the answer at most"},
    {"stop_sequences", FieldKind::kTexts, 0, kMostStops, "Texts that end the answer"},
    {"stream", FieldKind::kBoolean, 0, 0, "Send the answer as it grows"},
    {"temperature", FieldKind::kNumber, 0, 2, "0: always the likeliest token"},
    {"top_p", FieldKind::kNumber, 0, 1, "Only the likeliest tokens that reach this mass"},
    {"top_k", FieldKind::kInteger, 0, 2147483647, "Only the K likeliest tokens"},
    {"metadata", FieldKind::kObject, 0, 64, "Accepted and not used"},
    {"service_tier", FieldKind::kText, 0, 64, "Accepted and not used"},
};

json::object usage_block(const GenerationUsage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"output_tokens", usage.completion_tokens},
          {"input_tokens_details", prompt_details_json(usage)}};
}

std::string_view stop_reason(const ChoiceState& state) {
  if (!state.stop_text.empty()) return "stop_sequence";
  if (state.finish_reason == "tool_calls") return "tool_use";
  return state.finish_reason == "length" ? "max_tokens" : "end_turn";
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::value arguments_value(const std::string& text) {
  try {
    json::value value = parse_json(text, "arguments");
    if (value.is_object()) return value;
  } catch (const Error&) {
    // What the model wrote is no JSON: the client gets it as it is.
  }
  return json::object{{"arguments", text}};
}

class MessageListener : public GenerationListener {
 public:
  explicit MessageListener(const Call& call) : model_(call.model), exchange_(call.exchange) {}

 protected:
  json::object message(const GenerationUsage& usage) const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", model_->name},
            {"content", json::array()},
            {"stop_reason", nullptr},
            {"stop_sequence", nullptr},
            {"usage", usage_block(usage)}};
  }

  ModelLease model_;
  std::shared_ptr<Exchange> exchange_;
  std::string id_ = make_object_id("msg_");
};

class WholeMessage : public MessageListener {
 public:
  using MessageListener::MessageListener;

  void done(std::span<const ChoiceState> choices, const GenerationUsage& usage,
            std::span<const RequestResult>) override {
    const ChoiceState& state = choices.front();
    json::array content;
    if (!state.reasoning.empty())
      content.push_back(
          json::object{{"type", "thinking"}, {"thinking", state.reasoning}, {"signature", ""}});
    if (!state.content.empty() || state.tool_calls.empty())
      content.push_back(json::object{{"type", "text"}, {"text", state.content}});
    for (const ToolCall& call : state.tool_calls) {
      content.push_back(json::object{{"type", "tool_use"},
                                     {"id", call.id},
                                     {"name", call.name},
                                     {"input", arguments_value(call.arguments)}});
    }
    json::object out = message(usage);
    out["content"] = std::move(content);
    out["stop_reason"] = std::string(stop_reason(state));
    out["stop_sequence"] = text_or_null(state.stop_text);
    HttpResponse response;
    response.body = dump_json(out);
    exchange_->respond(std::move(response));
  }

  void failed(const ApiError& error) override {
    exchange_->respond(error_response(error, ApiStyle::kAnthropic));
  }
};

class StreamedMessage : public MessageListener {
 public:
  using MessageListener::MessageListener;

  void accepted() override { exchange_->begin_stream(event_stream_head()); }

  void started(const GenerationUsage& usage) override {
    send("message_start", {{"message", message(usage)}});
    send("ping", {});
  }

  void token(int32_t, const SampledToken&, std::span<const OutputEvent> events) override {
    for (const OutputEvent& event : events) send_event(event);
  }

  void choice_done(int32_t, const ChoiceState& state,
                   std::span<const OutputEvent> events) override {
    for (const OutputEvent& event : events) send_event(event);
    close_block();
    if (index_ == 0) {
      open_block(OutputEvent::Kind::kContent, {{"type", "text"}, {"text", ""}});
      close_block();
    }
    reason_ = std::string(stop_reason(state));
    stop_text_ = state.stop_text;
  }

  void done(std::span<const ChoiceState>, const GenerationUsage& usage,
            std::span<const RequestResult>) override {
    send("message_delta", {{"delta", json::object{{"stop_reason", reason_},
                                                  {"stop_sequence", text_or_null(stop_text_)}}},
                           {"usage", usage_block(usage)}});
    send("message_stop", {});
    exchange_->finish();
  }

  void failed(const ApiError& error) override {
    end_stream_with_error(*exchange_, error, ApiStyle::kAnthropic);
  }

 private:
  void send(const char* type, json::object fields) {
    json::object event = {{"type", type}};
    for (auto& field : fields) event[field.key()] = std::move(field.value());
    exchange_->write(std::string("event: ") + type + "\n" + sse_data(event));
  }

  void open_block(OutputEvent::Kind kind, json::object block) {
    close_block();
    open_ = kind;
    send("content_block_start", {{"index", index_}, {"content_block", std::move(block)}});
  }

  void close_block() {
    if (!open_) return;
    if (*open_ == OutputEvent::Kind::kReasoning)
      delta({{"type", "signature_delta"}, {"signature", ""}});
    send("content_block_stop", {{"index", index_}});
    ++index_;
    open_.reset();
  }

  void delta(json::object delta) {
    send("content_block_delta", {{"index", index_}, {"delta", std::move(delta)}});
  }

  void send_event(const OutputEvent& event) {
    switch (event.kind) {
      case OutputEvent::Kind::kReasoning:
        if (open_ != event.kind)
          open_block(event.kind, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
        return delta({{"type", "thinking_delta"}, {"thinking", event.text}});
      case OutputEvent::Kind::kContent:
        if (open_ != event.kind) open_block(event.kind, {{"type", "text"}, {"text", ""}});
        return delta({{"type", "text_delta"}, {"text", event.text}});
      case OutputEvent::Kind::kToolBegin:
        return open_block(OutputEvent::Kind::kToolBegin, {{"type", "tool_use"},
                                                          {"id", event.id},
                                                          {"name", event.name},
                                                          {"input", json::object()}});
      case OutputEvent::Kind::kToolArguments:
        return delta({{"type", "input_json_delta"}, {"partial_json", event.text}});
      case OutputEvent::Kind::kToolEnd:
        return close_block();
    }
  }

  int64_t index_ = 0;
  std::optional<OutputEvent::Kind> open_;
  std::string reason_, stop_text_;
};

}  // namespace

std::span<const FieldRule> message_rules() {
  static const std::vector<FieldRule> rules = join_rules({kConversation, kMessage});
  return rules;
}

std::span<const FieldRule> count_tokens_rules() { return kConversation; }

void create_message(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, message_rules());
  const ServedModel& model = need_model(fields, service, call);
  fields.require("max_tokens");
  GenerationPlan plan;
  read_sampling(fields, call, plan);
  for (std::string& text : fields.texts("stop_sequences"))
    if (!text.empty()) plan.stop.push_back(std::move(text));
  const ChatInput input = read_anthropic_chat(fields, model);
  OutputForm form;
  form.tool_choice = read_anthropic_tool_choice(fields, input.tools);
  plan.limits.thinking_tokens = read_thinking_budget(fields);
  const EchoScope echoes{service.echoes.get(), &plan.request.cache_salt};
  plan_chat(input, render_chat(input, model, echoes), model, random_token(9), plan);
  check_context(service, call, static_cast<int64_t>(plan.request.prompt.size()),
                *fields.integer("max_tokens"), plan);
  apply_output_form(form, input, model, plan);
  std::unique_ptr<GenerationListener> listener;
  if (fields.boolean("stream").value_or(false)) {
    listener = std::make_unique<StreamedMessage>(call);
  } else {
    listener = std::make_unique<WholeMessage>(call);
  }
  start_generation(service, call, std::move(plan), std::move(listener));
}

void count_tokens(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, count_tokens_rules());
  const ServedModel& model = need_model(fields, service, call);
  const RenderedChat rendered = render_chat(read_anthropic_chat(fields, model), model);
  HttpResponse response;
  response.body = dump_json(json::object{{"input_tokens", rendered.ids.size()}});
  call.exchange->respond(std::move(response));
}

}  // namespace headgate
