// The models that this server answers for, loaded or not.
#include "server/openai/models.h"

#include <algorithm>

#include "server/model_host.h"
#include "server/service.h"

namespace headgate {
namespace {

json::object model_json(const ModelState& model, const std::string& name) {
  json::object out = {{"id", name},
                      {"object", "model"},
                      {"created", model.created},
                      {"owned_by", "headgate"},
                      {"root", model.name},
                      {"max_model_len", std::max<int64_t>(model.facts.context, 1)},
                      {"state", std::string(phase_name(model.phase))},
                      {"meta", json::object{{"vocab_size", model.facts.vocabulary},
                                            {"n_ctx", model.facts.context},
                                            {"n_ctx_train", model.facts.trained_context},
                                            {"n_embd", model.facts.hidden_size},
                                            {"size", model.facts.weight_bytes},
                                            {"state_size", model.facts.state_bytes}}}};
  if (model.phase == ModelPhase::kLoading) out["progress"] = model.progress;
  return out;
}

void respond_json(Call& call, const json::value& value) {
  HttpResponse response;
  response.body = dump_json(value);
  call.exchange->respond(std::move(response));
}

}  // namespace

void list_models(Service& service, Call& call) {
  json::array list;
  for (const ModelState& model : service.host->list()) {
    list.push_back(model_json(model, model.name));
    for (const std::string& alias : model.aliases) list.push_back(model_json(model, alias));
  }
  respond_json(call, json::object{{"object", "list"}, {"data", std::move(list)}});
}

void show_model(Service& service, Call& call) {
  for (const ModelState& model : service.host->list()) {
    const bool alias =
        std::find(model.aliases.begin(), model.aliases.end(), call.id) != model.aliases.end();
    if (alias || model.name == call.id) return respond_json(call, model_json(model, call.id));
  }
  throw ApiError(404, "model_not_found",
                 fmt::format("the model \"{}\" does not exist here", call.id.substr(0, 200)),
                 "model");
}

}  // namespace headgate
