// Answers of the Responses API: items, events and what is stored of them.
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "control/secret.h"
#include "server/openai/chat_completions.h"
#include "server/openai/responses.h"

namespace headgate {
namespace {

json::object text_part(const std::string& text) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", json::array()},
          {"logprobs", json::array()}};
}

json::object response_usage(const GenerationUsage& u) {
  return {{"input_tokens", u.prompt_tokens},
          {"input_tokens_details", prompt_details_json(u)},
          {"output_tokens", u.completion_tokens},
          {"output_tokens_details", json::object{{"reasoning_tokens", u.reasoning_tokens}}},
          {"total_tokens", u.prompt_tokens + u.completion_tokens}};
}

// Builds the output items while events come in; a stream hears of every change.
class ResponseListener : public GenerationListener {
 public:
  ResponseListener(const Call& call, ResponseFrame frame, bool stream)
      : exchange_(call.exchange), frame_(std::move(frame)), stream_(stream) {}

  void accepted() override {
    if (!stream_) {
      if (frame_.background != nullptr) respond(frame_.base);
      return;
    }
    exchange_->begin_stream(event_stream_head());
    send("response.created", {{"response", frame_.base}});
    send("response.in_progress", {{"response", frame_.base}});
  }

  void token(int32_t, const SampledToken&, std::span<const OutputEvent> events) override {
    for (const OutputEvent& event : events) take(event);
  }

  void choice_done(int32_t, const ChoiceState& state,
                   std::span<const OutputEvent> events) override {
    for (const OutputEvent& event : events) take(event);
    close_item("completed");
    if (output_.empty()) {
      open_text();
      close_item("completed");
    }
    state_ = state;
  }

  void done(std::span<const ChoiceState> choices, const GenerationUsage& usage,
            std::span<const RequestResult>) override {
    const bool cut = choices.front().finish_reason == "length";
    json::object response = frame_.base;
    response["status"] = cut ? "incomplete" : "completed";
    if (cut) response["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    response["output"] = output_;
    response["usage"] = response_usage(usage);
    // Stored before it is sent: what a client has seen can be gone on from.
    if (frame_.store) store(response);
    if (frame_.background != nullptr) frame_.background->remove(frame_.id);
    if (!stream_) return respond(response);
    send(cut ? "response.incomplete" : "response.completed", {{"response", std::move(response)}});
    exchange_->finish();
  }

  void failed(const ApiError& error) override {
    if (frame_.background == nullptr && !stream_)
      return exchange_->respond(error_response(error, ApiStyle::kOpenAi));
    json::object response = frame_.base;
    const bool cancelled = frame_.background != nullptr && error.api_code() == "cancelled";
    response["status"] = cancelled ? "cancelled" : "failed";
    response["output"] = output_;
    if (!cancelled)
      response["error"] = json::object{{"code", error.api_code()}, {"message", error.what()}};
    if (frame_.background != nullptr) {
      frame_.store->update(frame_.tenant, {frame_.id, response, frame_.input, frame_.conversation});
      frame_.background->remove(frame_.id);
      if (!stream_) return;
    }
    send("response.failed", {{"response", std::move(response)}});
    exchange_->finish();
  }

 private:
  enum class Open { kNone, kReasoning, kText, kCall };

  void respond(const json::object& response) {
    HttpResponse answer;
    answer.body = dump_json(response);
    exchange_->respond(std::move(answer));
  }

  void send(const char* type, json::object fields) {
    if (!stream_) return;
    json::object event = {{"type", type}, {"sequence_number", number_++}};
    for (auto& field : fields) event[field.key()] = std::move(field.value());
    exchange_->write(std::string("event: ") + type + "\n" + sse_data(event));
  }

  int64_t index() const { return static_cast<int64_t>(output_.size()); }

  void begin_item(Open kind, json::object item) {
    close_item("completed");
    open_ = kind;
    text_.clear();
    item_ = std::move(item);
    send("response.output_item.added", {{"output_index", index()}, {"item", item_}});
  }

  void open_text() {
    begin_item(Open::kText, {{"id", make_object_id("msg_")},
                             {"type", "message"},
                             {"status", "in_progress"},
                             {"role", "assistant"},
                             {"content", json::array()}});
    send("response.content_part.added", {{"item_id", item_.at("id")},
                                         {"output_index", index()},
                                         {"content_index", 0},
                                         {"part", text_part("")}});
  }

  void open_reasoning() {
    begin_item(Open::kReasoning, {{"id", make_object_id("rs_")},
                                  {"type", "reasoning"},
                                  {"summary", json::array()},
                                  {"content", json::array()}});
  }

  void send_delta(const char* type, const std::string& text) {
    json::object fields = {{"item_id", item_.at("id")}, {"output_index", index()}};
    if (open_ != Open::kCall) fields["content_index"] = 0;
    fields["delta"] = text;
    if (open_ == Open::kText) fields["logprobs"] = json::array();
    send(type, std::move(fields));
  }

  void take(const OutputEvent& event) {
    switch (event.kind) {
      case OutputEvent::Kind::kReasoning:
        if (open_ != Open::kReasoning) open_reasoning();
        text_ += event.text;
        return send_delta("response.reasoning_text.delta", event.text);
      case OutputEvent::Kind::kContent:
        if (open_ != Open::kText) open_text();
        text_ += event.text;
        return send_delta("response.output_text.delta", event.text);
      case OutputEvent::Kind::kToolBegin:
        return begin_item(Open::kCall, {{"id", make_object_id("fc_")},
                                        {"type", "function_call"},
                                        {"status", "in_progress"},
                                        {"call_id", event.id},
                                        {"name", event.name},
                                        {"arguments", ""}});
      case OutputEvent::Kind::kToolArguments:
        text_ += event.text;
        return send_delta("response.function_call_arguments.delta", event.text);
      case OutputEvent::Kind::kToolEnd:
        return close_item("completed");
    }
  }

  void close_text(const char* status) {
    const json::object part = text_part(text_);
    send("response.output_text.done", {{"item_id", item_.at("id")},
                                       {"output_index", index()},
                                       {"content_index", 0},
                                       {"text", text_},
                                       {"logprobs", json::array()}});
    send("response.content_part.done", {{"item_id", item_.at("id")},
                                        {"output_index", index()},
                                        {"content_index", 0},
                                        {"part", part}});
    item_["content"] = json::array{part};
    item_["status"] = status;
  }

  void close_item(const char* status) {
    if (open_ == Open::kNone) return;
    if (open_ == Open::kText) {
      close_text(status);
    } else if (open_ == Open::kReasoning) {
      send("response.reasoning_text.done", {{"item_id", item_.at("id")},
                                            {"output_index", index()},
                                            {"content_index", 0},
                                            {"text", text_}});
      item_["content"] = json::array{json::object{{"type", "reasoning_text"}, {"text", text_}}};
    } else {
      send("response.function_call_arguments.done", {{"item_id", item_.at("id")},
                                                     {"output_index", index()},
                                                     {"name", item_.at("name")},
                                                     {"arguments", text_}});
      item_["arguments"] = text_;
      item_["status"] = status;
    }
    send("response.output_item.done", {{"output_index", index()}, {"item", item_}});
    output_.push_back(std::move(item_));
    item_ = json::object();
    open_ = Open::kNone;
  }

  void store(const json::object& response) {
    Message message;
    message.role = "assistant";
    message.content = state_.content;
    if (!state_.reasoning.empty()) message.reasoning_content = state_.reasoning;
    message.tool_calls = state_.tool_calls;
    json::array conversation = frame_.conversation;
    conversation.push_back(message_to_json(message));
    const StoredResponse stored{frame_.id, response, frame_.input, std::move(conversation)};
    if (frame_.background != nullptr) return frame_.store->update(frame_.tenant, stored);
    frame_.store->put(frame_.tenant, stored);
  }

  std::shared_ptr<Exchange> exchange_;
  ResponseFrame frame_;
  bool stream_;
  int64_t number_ = 0;
  Open open_ = Open::kNone;
  std::string text_;  // of the open item
  json::object item_;
  json::array output_;
  ChoiceState state_;
};

}  // namespace

std::unique_ptr<GenerationListener> response_listener(const Call& call, ResponseFrame frame,
                                                      bool stream) {
  return std::make_unique<ResponseListener>(call, std::move(frame), stream);
}

}  // namespace headgate
