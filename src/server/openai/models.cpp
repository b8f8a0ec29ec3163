// The models that this server answers for.
#include "server/openai/models.h"

#include "server/service.h"

namespace headgate {
namespace {

json::object model_json(const Service& service, const std::string& name) {
  const Engine& engine = *service.model.engine;
  const ModelConfig& config = engine.model().config();
  return {{"id", name},
          {"object", "model"},
          {"created", service.model.created},
          {"owned_by", "headgate"},
          {"root", service.model.name},
          {"max_model_len", engine.context()},
          {"meta", json::object{{"vocab_size", config.vocabulary},
                                {"n_ctx", engine.context()},
                                {"n_ctx_train", config.context_length},
                                {"n_embd", config.hidden_size},
                                {"size", engine.model().weight_bytes()}}}};
}

void respond_json(Call& call, const json::value& value) {
  HttpResponse response;
  response.body = dump_json(value);
  call.exchange->respond(std::move(response));
}

}  // namespace

void list_models(Service& service, Call& call) {
  json::array list = {model_json(service, service.model.name)};
  for (const std::string& alias : service.model.aliases) list.push_back(model_json(service, alias));
  respond_json(call, json::object{{"object", "list"}, {"data", std::move(list)}});
}

void show_model(Service& service, Call& call) {
  if (!service.model.answers_to(call.id)) {
    throw ApiError(404, "model_not_found",
                   fmt::format("the model \"{}\" does not exist here", call.id.substr(0, 200)),
                   "model");
  }
  respond_json(call, model_json(service, call.id));
}

}  // namespace headgate
