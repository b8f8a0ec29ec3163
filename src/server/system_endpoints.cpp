// What operators and the live view ask.
#include "server/system_endpoints.h"

#include <algorithm>
#include <vector>

#include "server/model_host.h"
#include "server/service.h"

namespace headgate {
namespace {

void respond_json(Call& call, const json::value& value, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = dump_json(value);
  response.headers = {{"cache-control", "no-store"}};
  call.exchange->respond(std::move(response));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// All loaded models as if they were one.
EngineStats sum_of(const std::vector<ModelLease>& models) {
  EngineStats sum;
  for (const ModelLease& model : models) {
    const EngineStats s = model->engine->stats();
    sum.step_age_seconds = std::max(sum.step_age_seconds, s.step_age_seconds);
    sum.recent_tokens_per_second += s.recent_tokens_per_second;
    for (int64_t EngineStats::*const field :
         {&EngineStats::running, &EngineStats::waiting, &EngineStats::preemptions,
          &EngineStats::shed, &EngineStats::prompt_tokens, &EngineStats::cached_tokens,
          &EngineStats::replayed_tokens, &EngineStats::generated_tokens,
          &EngineStats::drafted_tokens, &EngineStats::accepted_tokens, &EngineStats::state_bytes,
          &EngineStats::state_budget_bytes, &EngineStats::cached_prefix_bytes,
          &EngineStats::packed_prefixes, &EngineStats::cached_prefixes,
          &EngineStats::disk_cached_tokens})
      sum.*field += s.*field;
    for (int64_t DiskTierStats::*const field :
         {&DiskTierStats::entries, &DiskTierStats::bytes, &DiskTierStats::quota_bytes,
          &DiskTierStats::stored, &DiskTierStats::fetched, &DiskTierStats::removed,
          &DiskTierStats::damaged, &DiskTierStats::memory_bytes})
      sum.disk.*field += s.disk.*field;
  }
  return sum;
}

std::string_view state_name(const Service& service, const EngineStats& stats) {
  if (service.draining) return "draining";
  return stats.step_age_seconds > service.limits.stuck_seconds ? "stuck" : "ready";
}

json::array active_requests(const Service& service) {
  json::array active;
  for (const auto& request : service.active.list()) {
    const int64_t generated = request->generated_tokens.load();
    const char* state = !request->started ? "waiting" : generated > 0 ? "decoding" : "prefilling";
    active.push_back(json::object{{"id", request->id},
                                  {"model", request->model},
                                  {"state", state},
                                  {"age_s", seconds_since(request->arrived)},
                                  {"prompt_tokens", request->prompt_tokens.load()},
                                  {"cached_tokens", request->cached_tokens.load()},
                                  {"read_tokens", request->done_tokens.load()},
                                  {"generated_tokens", generated}});
  }
  return active;
}

json::array models_json(const std::vector<ModelState>& models) {
  json::array list;
  for (const ModelState& model : models) {
    json::object item = {{"id", model.name},
                         {"state", std::string(phase_name(model.phase))},
                         {"context", model.facts.context},
                         {"weight_bytes", model.facts.weight_bytes},
                         {"state_budget_bytes", model.facts.state_bytes},
                         {"memory_bytes", model.memory_bytes},
                         {"requests", model.requests},
                         {"waiting", model.waiting},
                         {"idle_s", model.idle_seconds},
                         {"load_s", model.load_seconds},
                         {"loads", model.loads},
                         {"unloads", model.unloads},
                         {"failures", model.failures}};
    if (model.phase == ModelPhase::kLoading) item["progress"] = model.progress;
    if (!model.error.empty()) item["error"] = model.error;
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace

// Alive: fails when a step of a model has not come back for too long.
void show_health(Service& service, Call& call) {
  const EngineStats stats = sum_of(service.host->loaded());
  const bool stuck = stats.step_age_seconds > service.limits.stuck_seconds;
  respond_json(
      call,
      json::object{{"status", stuck ? "stuck" : "ok"}, {"step_age_s", stats.step_age_seconds}},
      stuck ? 503 : 200);
}

// Whether to send requests here.
void show_ready(Service& service, Call& call) {
  const std::string state(state_name(service, sum_of(service.host->loaded())));
  respond_json(call, json::object{{"status", state}}, state == "ready" ? 200 : 503);
}

// For balancers: how many requests are here, as vLLM says it.
void show_load(Service& service, Call& call) {
  int64_t waiting = 0;
  for (const ModelState& model : service.host->list()) waiting += model.waiting;
  const auto active = static_cast<int64_t>(service.active.list().size());
  respond_json(call, json::object{{"server_load", active + waiting}});
}

void show_version(Service& service, Call& call) {
  respond_json(call, json::object{{"version", service.version}});
}

void show_metrics(Service& service, Call& call) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  const int64_t connections = service.http_counts ? service.http_counts().connections : 0;
  for (const ModelState& state : service.host->list())
    service.metrics->of(state.name).update(state);
  for (const ModelLease& model : service.host->loaded())
    model->metrics->update(model->engine->stats());
  response.body = service.metrics->text(connections);
  call.exchange->respond(std::move(response));
}

void show_status(Service& service, Call& call) {
  const std::vector<ModelState> models = service.host->list();
  const EngineStats s = sum_of(service.host->loaded());
  const LatencyFigures latency = service.metrics->latencies();
  respond_json(
      call,
      json::object{{"version", service.version},
                   {"state", std::string(state_name(service, s))},
                   {"uptime_s", seconds_since(service.begun)},
                   {"model", json::object{{"id", models.front().name},
                                          {"context", models.front().facts.context}}},
                   {"models", models_json(models)},
                   {"requests", json::object{{"running", s.running},
                                             {"waiting", s.waiting},
                                             {"completed", service.metrics->completed()},
                                             {"failed", service.metrics->failed()},
                                             {"cancelled", service.metrics->cancelled()},
                                             {"preempted", s.preemptions},
                                             {"shed", s.shed}}},
                   {"tokens", json::object{{"prompt", s.prompt_tokens},
                                           {"cached", s.cached_tokens},
                                           {"replayed", s.replayed_tokens},
                                           {"generated", s.generated_tokens},
                                           {"drafted", s.drafted_tokens},
                                           {"accepted", s.accepted_tokens}}},
                   {"memory", json::object{{"state_bytes", s.state_bytes},
                                           {"budget_bytes", service.host->budget_bytes()},
                                           {"state_budget_bytes", s.state_budget_bytes},
                                           {"cached_prefix_bytes", s.cached_prefix_bytes},
                                           {"cached_prefixes", s.cached_prefixes},
                                           {"packed_prefixes", s.packed_prefixes}}},
                   {"disk_cache", json::object{{"entries", s.disk.entries},
                                               {"bytes", s.disk.bytes},
                                               {"quota_bytes", s.disk.quota_bytes},
                                               {"memory_bytes", s.disk.memory_bytes},
                                               {"hit_tokens", s.disk_cached_tokens},
                                               {"stored", s.disk.stored},
                                               {"fetched", s.disk.fetched},
                                               {"removed", s.disk.removed},
                                               {"damaged", s.disk.damaged}}},
                   {"latency", json::object{{"ttft_ms", json::object{{"p50", latency.ttft_p50_ms},
                                                                     {"p99", latency.ttft_p99_ms}}},
                                            {"gap_ms", json::object{{"p50", latency.gap_p50_ms},
                                                                    {"p99", latency.gap_p99_ms}}}}},
                   {"tokens_per_second", s.recent_tokens_per_second},
                   {"active", active_requests(service)}});
}

void show_openapi(Service& service, Call& call) {
  respond_json(call, openapi_document(service.version));
}

}  // namespace headgate
