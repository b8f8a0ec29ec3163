// What operators and the live view ask.
#include "server/system_endpoints.h"

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

std::string_view state_name(const Service& service, const EngineStats& stats) {
  if (service.draining) return "draining";
  return stats.step_age_seconds > service.limits.stuck_seconds ? "stuck" : "ready";
}

}  // namespace

// Alive: fails when a step of the model has not come back for too long.
void show_health(Service& service, Call& call) {
  const EngineStats stats = service.model.engine->stats();
  const bool stuck = stats.step_age_seconds > service.limits.stuck_seconds;
  respond_json(
      call,
      json::object{{"status", stuck ? "stuck" : "ok"}, {"step_age_s", stats.step_age_seconds}},
      stuck ? 503 : 200);
}

// Whether to send requests here.
void show_ready(Service& service, Call& call) {
  const EngineStats stats = service.model.engine->stats();
  const std::string state(state_name(service, stats));
  respond_json(call, json::object{{"status", state}}, state == "ready" ? 200 : 503);
}

void show_version(Service& service, Call& call) {
  respond_json(call, json::object{{"version", service.version}});
}

void show_metrics(Service& service, Call& call) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  const int64_t connections = service.http_counts ? service.http_counts().connections : 0;
  response.body = service.metrics->scrape(service.model.engine->stats(), connections);
  call.exchange->respond(std::move(response));
}

void show_status(Service& service, Call& call) {
  const EngineStats s = service.model.engine->stats();
  const LatencyFigures latency = service.metrics->latencies();
  json::array active;
  for (const auto& request : service.active.list()) {
    const int64_t generated = request->generated_tokens.load();
    const char* state = !request->started ? "waiting" : generated > 0 ? "decoding" : "prefilling";
    active.push_back(json::object{{"id", request->id},
                                  {"state", state},
                                  {"age_s", seconds_since(request->arrived)},
                                  {"prompt_tokens", request->prompt_tokens.load()},
                                  {"cached_tokens", request->cached_tokens.load()},
                                  {"read_tokens", request->done_tokens.load()},
                                  {"generated_tokens", generated}});
  }
  respond_json(
      call,
      json::object{{"version", service.version},
                   {"state", std::string(state_name(service, s))},
                   {"uptime_s", seconds_since(service.begun)},
                   {"model", json::object{{"id", service.model.name},
                                          {"context", service.model.engine->context()}}},
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
                                           {"state_budget_bytes", s.state_budget_bytes},
                                           {"cached_prefix_bytes", s.cached_prefix_bytes},
                                           {"cached_prefixes", s.cached_prefixes}}},
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
                   {"active", std::move(active)}});
}

void show_openapi(Service& service, Call& call) {
  respond_json(call, openapi_document(service.version));
}

}  // namespace headgate
