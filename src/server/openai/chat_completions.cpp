// Chat completions: whole and streamed.
#include "server/openai/chat_completions.h"

#include <ctime>
#include <optional>
#include <utility>

#include "base/error.h"
#include "control/secret.h"
#include "server/generation.h"
#include "server/openai/chat_input.h"
#include "server/openai/generation_fields.h"
#include "server/openai/output_rules.h"

namespace headgate {
namespace {

constexpr FieldRule kChat[] = {
    {"max_tokens", FieldKind::kInteger, 1, 1 << 30, "Tokens of the answer at most"},
    {"max_completion_tokens", FieldKind::kInteger, 1, 1 << 30, "The newer name of max_tokens"},
    {"logprobs", FieldKind::kBoolean, 0, 0, "Log-probabilities of the answer's tokens"},
    {"top_logprobs", FieldKind::kInteger, 0, kMostLogprobs, "and of so many likeliest ones"},
    {"metadata", FieldKind::kObject, 0, 64, "Accepted and not used"},
    {"store", FieldKind::kBoolean, 0, 0, "Accepted and not used"},
    {"service_tier", FieldKind::kText, 0, 64, "Accepted and not used"},
    {"safety_identifier", FieldKind::kText, 0, 4096, "Accepted and not used"},
    {"prompt_cache_key", FieldKind::kText, 0, 4096,
     "Accepted and not used: prefixes are always cached"},
    {"modalities", FieldKind::kList, 1, 1, "[\"text\"]"},
    {"return_token_ids", FieldKind::kBoolean, 0, 0,
     "Add prompt_token_ids, and token_ids to every choice, as vLLM does"},
};

// What whole answers and streams share.
class ChatListener : public GenerationListener {
 public:
  ChatListener(const Call& call, bool with_logprobs)
      : model_(call.model), exchange_(call.exchange), with_logprobs_(with_logprobs) {}

  void show_token_ids(const std::vector<int32_t>& prompt) {
    prompt_ids_ = json::array(prompt.begin(), prompt.end());
  }

 protected:
  json::object envelope(const char* object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", model_->name},
            {"system_fingerprint", model_->fingerprint}};
  }

  ModelLease model_;
  std::shared_ptr<Exchange> exchange_;
  bool with_logprobs_;
  std::optional<json::array> prompt_ids_;  // set: ids were asked for
  std::string id_ = make_object_id("chatcmpl-");
  int64_t created_ = unix_seconds();
};

json::object tool_call_json(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", json::object{{"name", call.name}, {"arguments", call.arguments}}}};
}

class WholeChat : public ChatListener {
 public:
  using ChatListener::ChatListener;

  void done(std::span<const ChoiceState> choices, const GenerationUsage& usage,
            std::span<const RequestResult>) override {
    json::object out = envelope("chat.completion");
    json::array list;
    for (size_t i = 0; i < choices.size(); ++i)
      list.push_back(choice_json(choices[i], static_cast<int64_t>(i)));
    out["choices"] = std::move(list);
    if (prompt_ids_) out["prompt_token_ids"] = *prompt_ids_;
    out["usage"] = usage_json(usage);
    out["timings"] = timings_json(usage);
    HttpResponse response;
    response.body = dump_json(out);
    exchange_->respond(std::move(response));
  }

  void failed(const ApiError& error) override {
    exchange_->respond(error_response(error, ApiStyle::kOpenAi));
  }

 private:
  json::object choice_json(const ChoiceState& state, int64_t index) const {
    json::object message = {{"role", "assistant"}};
    message["content"] = state.content.empty() && !state.tool_calls.empty()
                             ? json::value(nullptr)
                             : json::value(state.content);
    message["refusal"] = nullptr;
    if (!state.reasoning.empty()) {
      message["reasoning_content"] = state.reasoning;
      message["reasoning"] = state.reasoning;
    }
    if (!state.tool_calls.empty()) {
      json::array calls;
      for (const ToolCall& call : state.tool_calls) calls.push_back(tool_call_json(call));
      message["tool_calls"] = std::move(calls);
    }
    json::object out = {{"index", index},
                        {"message", std::move(message)},
                        {"logprobs", nullptr},
                        {"finish_reason", state.finish_reason}};
    if (prompt_ids_) out["token_ids"] = json::array(state.tokens.begin(), state.tokens.end());
    if (with_logprobs_) {
      json::array content;
      for (const SampledToken& token : state.sampled)
        content.push_back(chat_logprob(*model_, token));
      out["logprobs"] = json::object{{"content", std::move(content)}, {"refusal", nullptr}};
    }
    return out;
  }
};

class StreamedChat : public ChatListener {
 public:
  StreamedChat(const Call& call, bool with_logprobs, bool with_usage, int32_t choices)
      : ChatListener(call, with_logprobs),
        with_usage_(with_usage),
        waiting_logprobs_(static_cast<size_t>(choices)),
        waiting_ids_(static_cast<size_t>(choices)) {}

  void accepted() override {
    exchange_->begin_stream(event_stream_head());
    for (size_t i = 0; i < waiting_logprobs_.size(); ++i)
      send(static_cast<int32_t>(i), {{"role", "assistant"}, {"content", ""}}, nullptr);
  }

  void progress(int64_t done, int64_t total, double seconds) override {
    json::object chunk = envelope("chat.completion.chunk");
    chunk["choices"] = json::array();
    chunk["prompt_progress"] = json::object{
        {"total", total}, {"cache", cached_}, {"processed", done}, {"time_ms", seconds * 1e3}};
    exchange_->write(sse_data(chunk));
  }

  void started(const GenerationUsage& usage) override { cached_ = usage.cached_tokens; }

  void token(int32_t choice, const SampledToken& token,
             std::span<const OutputEvent> events) override {
    if (with_logprobs_)
      waiting_logprobs_[static_cast<size_t>(choice)].push_back(chat_logprob(*model_, token));
    if (prompt_ids_) waiting_ids_[static_cast<size_t>(choice)].emplace_back(token.token);
    for (const OutputEvent& event : events) send_event(choice, event);
  }

  void choice_done(int32_t choice, const ChoiceState& state,
                   std::span<const OutputEvent> events) override {
    for (const OutputEvent& event : events) send_event(choice, event);
    send(choice, {}, state.finish_reason.c_str());
  }

  void done(std::span<const ChoiceState>, const GenerationUsage& usage,
            std::span<const RequestResult>) override {
    if (with_usage_) {
      json::object chunk = envelope("chat.completion.chunk");
      chunk["choices"] = json::array();
      chunk["usage"] = usage_json(usage);
      chunk["timings"] = timings_json(usage);
      exchange_->write(sse_data(chunk));
    }
    exchange_->write("data: [DONE]\n\n");
    exchange_->finish();
  }

  void failed(const ApiError& error) override {
    end_stream_with_error(*exchange_, error, ApiStyle::kOpenAi);
  }

 private:
  void send_event(int32_t choice, const OutputEvent& event) {
    switch (event.kind) {
      case OutputEvent::Kind::kReasoning:
        return send(choice, {{"reasoning_content", event.text}, {"reasoning", event.text}},
                    nullptr);
      case OutputEvent::Kind::kContent:
        return send(choice, {{"content", event.text}}, nullptr);
      case OutputEvent::Kind::kToolBegin:
        return send_call(choice,
                         {{"index", event.call},
                          {"id", event.id},
                          {"type", "function"},
                          {"function", json::object{{"name", event.name}, {"arguments", ""}}}});
      case OutputEvent::Kind::kToolArguments:
        return send_call(
            choice, {{"index", event.call}, {"function", json::object{{"arguments", event.text}}}});
      case OutputEvent::Kind::kToolEnd:
        return;
    }
  }

  void send_call(int32_t choice, json::object call) {
    send(choice, {{"tool_calls", json::array{std::move(call)}}}, nullptr);
  }

  void send(int32_t choice, json::object delta, const char* finish_reason) {
    json::object item = {{"index", choice},
                         {"delta", std::move(delta)},
                         {"logprobs", nullptr},
                         {"finish_reason", nullptr}};
    if (finish_reason != nullptr) item["finish_reason"] = finish_reason;
    json::array& waiting = waiting_logprobs_[static_cast<size_t>(choice)];
    if (with_logprobs_ && !waiting.empty()) {
      item["logprobs"] = json::object{{"content", std::move(waiting)}, {"refusal", nullptr}};
      waiting = json::array();
    }
    json::object chunk = envelope("chat.completion.chunk");
    if (prompt_ids_) {
      item["token_ids"] = std::exchange(waiting_ids_[static_cast<size_t>(choice)], {});
      if (!std::exchange(prompt_ids_sent_, true)) chunk["prompt_token_ids"] = *prompt_ids_;
    }
    chunk["choices"] = json::array{std::move(item)};
    if (with_usage_) chunk["usage"] = nullptr;
    exchange_->write(sse_data(chunk));
  }

  bool with_usage_;
  int64_t cached_ = 0;
  std::vector<json::array> waiting_logprobs_;  // of tokens whose text is held back
  std::vector<json::array> waiting_ids_;       // of the same
  bool prompt_ids_sent_ = false;
};

int64_t read_max_tokens(const Fields& fields) {
  const auto newer = fields.integer("max_completion_tokens");
  return newer ? *newer : fields.integer("max_tokens").value_or(-1);
}

void read_logprobs(const Fields& fields, GenerationPlan& plan) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs");
  if (top && !wanted)
    refuse_field("top_logprobs", "top_logprobs: only allowed when logprobs is true");
  if (wanted) plan.request.sampling.top_logprobs = static_cast<int32_t>(top.value_or(0));
}

}  // namespace

std::span<const FieldRule> chat_completion_rules() {
  static const std::vector<FieldRule> rules =
      join_rules({chat_input_rules(), sampling_rules(), kChat, output_form_rules()});
  return rules;
}

void chat_completions(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, chat_completion_rules());
  const ServedModel& model = need_model(fields, service, call);
  GenerationPlan plan;
  read_sampling(fields, call, plan);
  read_logprobs(fields, plan);
  const ChatInput input = read_chat_input(fields, model);
  const EchoScope echoes{service.echoes.get(), &plan.request.cache_salt};
  plan_chat(input, render_chat(input, model, echoes), model, random_token(9), plan);
  check_context(service, call, static_cast<int64_t>(plan.request.prompt.size()),
                read_max_tokens(fields), plan);
  apply_output_form(read_output_form(fields, input.tools), input, model, plan);

  const bool logprobs = plan.request.sampling.top_logprobs >= 0;
  const bool usage = wants_usage(fields);
  std::unique_ptr<ChatListener> listener;
  if (fields.boolean("stream").value_or(false)) {
    listener = std::make_unique<StreamedChat>(call, logprobs, usage, plan.request.choices);
  } else {
    listener = std::make_unique<WholeChat>(call, logprobs);
  }
  if (fields.boolean("return_token_ids").value_or(false))
    listener->show_token_ids(plan.request.prompt);
  start_generation(service, call, std::move(plan), std::move(listener));
}

std::string make_object_id(std::string_view prefix) {
  return std::string(prefix) + random_token(18);
}

int64_t unix_seconds() { return static_cast<int64_t>(std::time(nullptr)); }

HttpResponse event_stream_head() {
  HttpResponse head;
  head.content_type = "text/event-stream; charset=utf-8";
  head.headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}};
  return head;
}

std::string sse_data(const json::value& value) { return "data: " + dump_json(value) + "\n\n"; }

void end_stream_with_error(Exchange& exchange, const ApiError& error, ApiStyle style) {
  const std::string event = style == ApiStyle::kAnthropic ? "event: error\n" : "";
  exchange.write(event + sse_data(error_object(error, style)));
  exchange.finish();
}

}  // namespace headgate
