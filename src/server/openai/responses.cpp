// Requests of the Responses API.
#include "server/openai/responses.h"

#include "base/error.h"
#include "control/secret.h"
#include "server/openai/chat_completions.h"
#include "server/openai/generation_fields.h"
#include "server/openai/output_rules.h"

namespace headgate {
namespace {

constexpr FieldRule kResponse[] = {
    {"model", FieldKind::kText, 1, 512, "Name of the model"},
    {"input", FieldKind::kAny, 0, 0, "A text, or an array of items"},
    {"instructions", FieldKind::kText, 0, kTextBytes, "The system message"},
    {"previous_response_id", FieldKind::kText, 1, 128, "Go on from a stored response"},
    {"store", FieldKind::kBoolean, 0, 0, "Keep the response (default)"},
    {"background", FieldKind::kBoolean, 0, 0,
     "Answer at once, generate meanwhile: ask again by id"},
    {"stream", FieldKind::kBoolean, 0, 0, "Send the answer as it grows"},
    {"stream_options", FieldKind::kObject, 0, 16, "Accepted and not used"},
    {"max_output_tokens", FieldKind::kInteger, 1, 1 << 30, "Tokens of the answer at most"},
    {"temperature", FieldKind::kNumber, 0, 2, "0: always the likeliest token"},
    {"top_p", FieldKind::kNumber, 0, 1, "Only the likeliest tokens that reach this mass"},
    {"top_k", FieldKind::kInteger, -1, 2147483647, "Only the K likeliest tokens"},
    {"min_p", FieldKind::kNumber, 0, 1,
     "Only tokens with this share of the best one's probability"},
    {"seed", FieldKind::kInteger, -9.3e18, 1.85e19, "Same seed, same answer"},
    {"tools", FieldKind::kList, 0, kMostTools, "Functions that the model may call"},
    {"tool_choice", FieldKind::kAny, 0, 0, "auto, none, required, or a function by name"},
    {"parallel_tool_calls", FieldKind::kBoolean, 0, 0,
     "Whether several tools may be called at once"},
    {"text", FieldKind::kObject, 0, 8, "format: text, json_object or json_schema"},
    {"reasoning", FieldKind::kObject, 0, 8, "effort: none turns reasoning off"},
    {"metadata", FieldKind::kObject, 0, 64, "Kept with the response"},
    {"include", FieldKind::kList, 0, 32, "Accepted and not used"},
    {"truncation", FieldKind::kText, 1, 16, "Only disabled: nothing is ever cut"},
    {"user", FieldKind::kText, 0, 4096, "Accepted and not used"},
    {"safety_identifier", FieldKind::kText, 0, 4096, "Accepted and not used"},
    {"prompt_cache_key", FieldKind::kText, 0, 4096, "Accepted and not used"},
    {"service_tier", FieldKind::kText, 0, 64, "Accepted and not used"},
};

json::value value_or(const Fields& fields, std::string_view name, json::value otherwise) {
  const json::value* value = fields.find(name);
  return value != nullptr ? *value : std::move(otherwise);
}

ApiError no_such_response(const std::string& id) {
  return {404, "response_not_found", fmt::format("there is no response \"{}\"", id.substr(0, 128)),
          "response_id"};
}

StoredResponse load(const Service& service, const Call& call, const std::string& id) {
  std::optional<StoredResponse> found;
  if (service.responses) found = service.responses->get(call.caller.tenant(), id);
  if (!found) throw no_such_response(id);
  return std::move(*found);
}

bool runs(const json::object& response) {
  const json::value& status = response.at("status");
  return status == "queued" || status == "in_progress";
}

void read_reasoning(const Fields& fields, ChatInput& input) {
  const json::object* reasoning = fields.object("reasoning");
  const json::value* effort = reasoning != nullptr ? reasoning->if_contains("effort") : nullptr;
  if (effort == nullptr || effort->is_null()) return;
  if (!effort->is_string()) refuse_field("reasoning.effort", "reasoning.effort: expected a string");
  input.template_kwargs["enable_thinking"] = effort->get_string() != "none";
  input.template_kwargs["reasoning_effort"] = *effort;
}

// The fields of a response that echo its request.
json::object base_of(const Fields& fields, const ServedModel& model, const std::string& id) {
  return {
      {"id", id},
      {"object", "response"},
      {"created_at", unix_seconds()},
      {"status", "in_progress"},
      {"background", value_or(fields, "background", false)},
      {"error", nullptr},
      {"incomplete_details", nullptr},
      {"instructions", value_or(fields, "instructions", nullptr)},
      {"max_output_tokens", value_or(fields, "max_output_tokens", nullptr)},
      {"model", model.name},
      {"output", json::array()},
      {"parallel_tool_calls", value_or(fields, "parallel_tool_calls", true)},
      {"previous_response_id", value_or(fields, "previous_response_id", nullptr)},
      {"reasoning",
       value_or(fields, "reasoning", json::object{{"effort", nullptr}, {"summary", nullptr}})},
      {"store", value_or(fields, "store", true)},
      {"temperature", value_or(fields, "temperature", model.sampling_defaults.temperature)},
      {"text", value_or(fields, "text", json::object{{"format", json::object{{"type", "text"}}}})},
      {"tool_choice", value_or(fields, "tool_choice", "auto")},
      {"tools", value_or(fields, "tools", json::array())},
      {"top_p", value_or(fields, "top_p", model.sampling_defaults.top_p)},
      {"truncation", "disabled"},
      {"usage", nullptr},
      {"user", value_or(fields, "user", nullptr)},
      {"metadata", value_or(fields, "metadata", json::object())}};
}

OutputForm read_form(const Fields& fields, const json::array& tools) {
  OutputForm form;
  const json::object* text = fields.object("text");
  const json::value* format = text != nullptr ? text->if_contains("format") : nullptr;
  if (format != nullptr && format->is_object())
    read_format(format->get_object(), "text.format", form);
  form.tool_choice = read_tool_choice(fields, tools);
  form.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
  return form;
}

// Stored before it starts, so that a client finds it however quick it is.
void start_in_background(Service& service, const Call& call, GenerationPlan plan,
                         ResponseFrame frame, bool stream) {
  const std::string id = frame.id;
  frame.background = &service.background;
  frame.base["status"] = stream ? "in_progress" : "queued";
  const std::shared_ptr<ResponseStore> store = frame.store;
  store->put(frame.tenant, {id, frame.base, frame.input, frame.conversation});
  service.background.add(id);
  plan.detached = true;
  try {
    service.background.set_request(
        id, call.model,
        start_generation(service, call, std::move(plan),
                         response_listener(call, std::move(frame), stream)));
  } catch (...) {
    service.background.remove(id);
    store->remove(call.caller.tenant(), id);
    throw;
  }
}

}  // namespace

json::array stored_conversation(const Service& service, const Call& call, const std::string& id) {
  StoredResponse previous = load(service, call, id);
  if (runs(previous.response))
    throw ApiError(400, "not_completed", fmt::format("the response \"{}\" is not complete yet", id),
                   "previous_response_id");
  return std::move(previous.conversation);
}

std::span<const FieldRule> response_rules() { return kResponse; }

void create_response(Service& service, Call& call) {
  const json::object body = parse_body(call.request().body);
  const Fields fields(body, kResponse);
  const ServedModel& model = need_model(fields, service, call);
  need_chat_template(model);
  const auto truncation = fields.text("truncation");
  if (truncation && *truncation != "disabled")
    throw ApiError(400, "unsupported", "truncation: only \"disabled\": a prompt is never cut",
                   "truncation");

  ResponseFrame frame;
  frame.id = make_object_id("resp_");
  frame.tenant = call.caller.tenant();
  if (const auto previous = fields.text("previous_response_id"))
    frame.conversation = stored_conversation(service, call, *previous);
  const json::value& given = fields.require("input");
  for (json::value& message : messages_of_input(given))
    frame.conversation.push_back(std::move(message));
  frame.input = items_of_input(given);
  frame.base = base_of(fields, model, frame.id);
  if (fields.boolean("store").value_or(true)) frame.store = service.responses;
  const bool background = fields.boolean("background").value_or(false);
  if (background && !frame.store)
    throw ApiError(400, "invalid_value", "background: needs store", "background");

  ChatInput input;
  json::array messages;
  if (const auto instructions = fields.text("instructions"))
    messages.push_back(json::object{{"role", "system"}, {"content", *instructions}});
  for (const json::value& message : frame.conversation) messages.push_back(message);
  if (messages.empty()) refuse_field("input", "input: empty, expected at least one item");
  input.messages = checked_messages(messages);
  if (const json::array* tools = fields.list("tools")) input.tools = turned_response_tools(*tools);
  const OutputForm form = read_form(fields, input.tools);
  if (form.tool_choice.kind == ToolChoice::Kind::kNone) input.tools.clear();
  read_reasoning(fields, input);

  GenerationPlan plan;
  read_sampling(fields, call, plan);
  const EchoScope echoes{service.echoes.get(), &plan.request.cache_salt};
  plan_chat(input, render_chat(input, model, echoes), model, random_token(9), plan);
  check_context(service, call, static_cast<int64_t>(plan.request.prompt.size()),
                fields.integer("max_output_tokens").value_or(-1), plan);
  apply_output_form(form, input, model, plan);
  const bool stream = fields.boolean("stream").value_or(false);
  if (background) {
    start_in_background(service, call, std::move(plan), std::move(frame), stream);
  } else {
    start_generation(service, call, std::move(plan),
                     response_listener(call, std::move(frame), stream));
  }
}

void show_response(Service& service, Call& call) {
  HttpResponse response;
  response.body = dump_json(load(service, call, call.id).response);
  call.exchange->respond(std::move(response));
}

void list_response_input(Service& service, Call& call) {
  json::array items = load(service, call, call.id).input;
  json::object out = {
      {"object", "list"}, {"has_more", false}, {"first_id", nullptr}, {"last_id", nullptr}};
  if (!items.empty()) {
    out["first_id"] = items.front().at("id");
    out["last_id"] = items.back().at("id");
  }
  out["data"] = std::move(items);
  HttpResponse response;
  response.body = dump_json(out);
  call.exchange->respond(std::move(response));
}

void delete_response(Service& service, Call& call) {
  if (!service.responses || !service.responses->remove(call.caller.tenant(), call.id))
    throw no_such_response(call.id);
  HttpResponse response;
  response.body =
      dump_json(json::object{{"id", call.id}, {"object", "response.deleted"}, {"deleted", true}});
  call.exchange->respond(std::move(response));
}

// Only background responses run on without their client.
void cancel_response(Service& service, Call& call) {
  json::object response = load(service, call, call.id).response;
  const json::value* background = response.if_contains("background");
  if (background == nullptr || *background != true)
    throw ApiError(400, "not_background",
                   "only background responses can be cancelled: close the connection instead");
  if (service.background.cancel(call.id)) response["status"] = "cancelled";
  HttpResponse answer;
  answer.body = dump_json(response);
  call.exchange->respond(std::move(answer));
}

}  // namespace headgate
