// Requests for named sessions become work of the engine, and its outcome an answer.
#include "server/sessions.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/named_sessions.h"
#include "server/generation.h"
#include "server/openai/chat_input.h"
#include "server/openai/generation_fields.h"
#include "server/openai/responses.h"
#include "server/service.h"
#include "server/session_folder.h"

namespace headgate {
namespace {

constexpr FieldRule kLoad[] = {
    {"model", FieldKind::kText, 1, 512, "Name of the model"},
    {"cache_salt", FieldKind::kText, 0, 256, "That of the requests that go on from the session"},
};

constexpr FieldRule kSave[] = {
    {"name", FieldKind::kText, 1, 100, "Letters, digits, '.', '_' and '-'"},
    {"response_id", FieldKind::kText, 1, 128, "A stored response, in place of messages"},
    {"yarn", FieldKind::kBoolean, 0, 0, "As in the requests that go on from the session"},
};

void respond_json(Exchange& exchange, const json::value& value) {
  HttpResponse response;
  response.body = dump_json(value);
  exchange.respond(std::move(response));
}

SessionFolder& folder_of(const Service& service) {
  if (service.sessions == nullptr) {
    throw ApiError(400, "no_sessions",
                   "this server keeps no sessions: headgate serve --sessions DIR makes it");
  }
  return *service.sessions;
}

json::object session_json(std::string_view name, int64_t tokens, int64_t bytes) {
  return {{"object", "session"}, {"name", name}, {"tokens", tokens}, {"bytes", bytes}};
}

// Answers a call when the engine is through. `more` is added to the answer.
std::function<void(const SessionOutcome&)> answer_later(Service& service, const Call& call,
                                                        const std::string& name,
                                                        json::object more) {
  return [&service, exchange = call.exchange, model = call.model, name,
          more = std::move(more)](const SessionOutcome& outcome) {
    service.workers->post_urgent([exchange, name, more, outcome] {
      if (!outcome.error.empty()) {
        exchange->respond(
            error_response(api_error_of(Error(outcome.code, outcome.error)), ApiStyle::kOpenAi));
        return;
      }
      json::object out = session_json(name, outcome.tokens, outcome.bytes);
      out["seconds"] = outcome.seconds;
      for (const auto& field : more) out[field.key()] = field.value();
      respond_json(*exchange, out);
    });
  };
}

// Saves when the prompt has been read.
class Saver : public GenerationListener {
 public:
  Saver(Service& service, const Call& call, std::string name, SessionAsk ask)
      : service_(service), call_(call), name_(std::move(name)), ask_(std::move(ask)) {}

  void done(std::span<const ChoiceState>, const GenerationUsage& usage,
            std::span<const RequestResult>) override {
    const std::shared_ptr<SessionFolder> folder = service_.sessions;
    const auto promised = std::make_shared<int64_t>(0);
    ask_.admit = [folder, promised](int64_t bytes) {
      if (!folder->admit(bytes)) return false;
      *promised = bytes;
      return true;
    };
    ask_.done = [folder, promised,
                 answer = answer_later(service_, call_, name_,
                                       {{"prompt_tokens_details", prompt_details_json(usage)}})](
                    const SessionOutcome& outcome) {
      folder->release(*promised);
      answer(outcome);
    };
    call_.model->engine->save_session(std::move(ask_));
  }
  void failed(const ApiError& error) override {
    call_.exchange->respond(error_response(error, ApiStyle::kOpenAi));
  }

 private:
  Service& service_;
  Call call_;
  std::string name_;
  SessionAsk ask_;
};

// The tokens with which every next turn begins, whatever will be said in it.
std::vector<int32_t> stable_prefix(const ChatInput& input, const ServedModel& model,
                                   const EchoScope& echoes) {
  const auto ids_with = [&](const char* text) {
    ChatInput next = input;
    next.add_generation_prompt = false;
    next.continue_final_message = false;
    next.messages.push_back(json::object{{"role", "user"}, {"content", text}});
    return render_chat(next, model, echoes).ids;
  };
  std::vector<int32_t> ids = ids_with("a");
  const std::vector<int32_t> other = ids_with("1 b");
  ids.erase(std::mismatch(ids.begin(), ids.end(), other.begin(), other.end()).first, ids.end());
  if (ids.empty()) refuse_field("messages", "messages: nothing of them stays in the next turn");
  return ids;
}

// The body with the messages that it stands for.
json::object with_messages(json::object body, const Service& service, const Call& call) {
  const Fields fields(body, save_session_rules());
  const auto response = fields.text("response_id");
  if (!response) return body;
  if (fields.has("messages")) refuse_field("response_id", "response_id: excludes messages");
  json::array messages = stored_conversation(service, call, *response);
  body["messages"] = std::move(messages);
  return body;
}

}  // namespace

std::span<const FieldRule> save_session_rules() {
  static const std::vector<FieldRule> rules = join_rules({kSave, kLoad, chat_input_rules()});
  return rules;
}

std::span<const FieldRule> load_session_rules() { return kLoad; }

void save_session(Service& service, Call& call) {
  SessionFolder& folder = folder_of(service);
  const json::object body = with_messages(parse_body(call.request().body), service, call);
  const Fields fields(body, save_session_rules());
  const ServedModel& model = need_model(fields, service, call);
  (void)fields.require("name");
  const std::string name = *fields.text("name"), tenant = call.caller.tenant();
  SessionAsk ask;
  ask.path = folder.path_of(tenant, name);
  const ChatInput input = read_chat_input(fields, model);
  GenerationPlan plan;
  plan.request.cache_salt = cache_salt_of(fields, call);
  plan.request.prompt =
      stable_prefix(input, model, {service.echoes.get(), &plan.request.cache_salt});
  check_context(service, call, static_cast<int64_t>(plan.request.prompt.size()), 0, plan);
  plan.request.stretched = fields.boolean("yarn");
  folder.prepare(tenant, name);
  ask.tokens = plan.request.prompt;
  ask.cache_salt = plan.request.cache_salt;
  ask.stretched = plan.request.stretched;
  ask.note = dump_json(json::object{{"model", model.name},
                                    {"messages", input.messages},
                                    {"tools", input.tools},
                                    {"template_kwargs", input.template_kwargs}});
  start_generation(service, call, std::move(plan),
                   std::make_unique<Saver>(service, call, name, std::move(ask)));
}

void list_sessions(Service& service, Call& call) {
  json::array list;
  for (const SessionFolder::Saved& saved : folder_of(service).list(call.caller.tenant())) {
    json::object item = session_json(saved.name, saved.tokens, saved.bytes);
    item["modified"] = saved.modified;
    if (saved.damaged) item["damaged"] = true;
    list.push_back(std::move(item));
  }
  respond_json(*call.exchange, json::object{{"object", "list"}, {"data", std::move(list)}});
}

void show_session(Service& service, Call& call) {
  const StateFileInfo info = folder_of(service).header(call.caller.tenant(), call.id);
  json::object out = session_json(call.id, info.position(), info.file_bytes);
  out["conversation"] = parse_json(info.note, "the session's note");
  respond_json(*call.exchange, out);
}

void delete_session(Service& service, Call& call) {
  folder_of(service).remove(call.caller.tenant(), call.id);
  respond_json(*call.exchange,
               json::object{{"object", "session.deleted"}, {"name", call.id}, {"deleted", true}});
}

void load_session(Service& service, Call& call) {
  SessionFolder& folder = folder_of(service);
  const std::string& text = call.request().body;
  const json::object body = text.empty() ? json::object{} : parse_body(text);
  const Fields fields(body, kLoad);
  const ServedModel& model = need_model(fields, service, call);
  (void)folder.header(call.caller.tenant(), call.id);  // says what is wrong with it
  SessionAsk ask;
  ask.path = folder.path_of(call.caller.tenant(), call.id);
  ask.cache_salt = cache_salt_of(fields, call);
  ask.done = answer_later(service, call, call.id, {});
  model.engine->load_session(std::move(ask));
}

}  // namespace headgate
