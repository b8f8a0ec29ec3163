// The joint of HTTP, router and service.
#include "server/server.h"

#include <thread>
#include <utility>

#include "base/log.h"
#include "control/key_store.h"
#include "control/secret.h"
#include "server/admission.h"
#include "server/answer_echoes.h"
#include "server/response_store.h"
#include "server/router.h"
#include "server/session_folder.h"
#include "server/web_assets.h"

namespace headgate {
namespace {

constexpr size_t kRequestIdBytes = 128;

bool is_request_id(std::string_view id) {
  if (id.empty() || id.size() > kRequestIdBytes) return false;
  for (const char c : id) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

std::string_view route_name(const HttpRequest& request) {
  const RouteMatch match = find_route(request.method, request.path);
  if (match.route != nullptr) return match.route->pattern;
  return find_web_asset(request.path) != nullptr ? "web" : "none";
}

}  // namespace

class Server::Impl : public HttpHandler {
 public:
  Impl(const ServerOptions& options, std::shared_ptr<ModelHost> host,
       std::shared_ptr<KeyStore> keys, std::shared_ptr<ResponseStore> responses)
      : options_(options),
        host_(std::move(host)),
        admission_(options, keys.get()),
        log_(options.log),
        http_(options.http, *this) {
    service_.host = host_.get();
    service_.metrics = &host_->metrics();
    service_.limits = options.limits;
    service_.rates.set(options.limits.requests_per_minute, options.limits.tokens_per_minute);
    service_.version = options.version;
    service_.keys = std::move(keys);
    service_.responses = std::move(responses);
    if (service_.responses) service_.responses->fail_interrupted();
    if (!options.session_folder.empty()) {
      service_.sessions =
          std::make_shared<SessionFolder>(options.session_folder, options.session_bytes);
    }
    if (options.echo_repair) service_.echoes = std::make_shared<AnswerEchoes>();
    service_.workers = std::make_unique<WorkerPool>(options.workers);
    service_.http_counts = [this] { return http_.counts(); };
    http_.on_tick([this] { tick(); });
  }

  std::optional<HttpResponse> admit(HttpRequest& head) override;
  void handle(std::shared_ptr<Exchange> exchange) override;
  void finish_head(const HttpRequest& request, HttpResponse& response) override;
  void answered(const HttpRequest& request, const Answered& answer) override;
  HttpResponse refusal(int status, const std::string& message) override;

  HttpServer& http() { return http_; }
  Service& service() { return service_; }
  AccessLog& log() { return log_; }
  void stop();

 private:
  void check(HttpRequest& head);
  static HttpResponse preflight();
  void run(const std::shared_ptr<Call>& call);
  void refuse(const Call& call, const std::exception& error);
  void wait_for_model(const std::shared_ptr<Call>& call, const std::string& name);
  void tick();

  ServerOptions options_;
  std::shared_ptr<ModelHost> host_;
  std::chrono::steady_clock::time_point keys_read_;
  std::atomic<bool> refreshing_{false};
  Service service_;
  Admission admission_;
  AccessLog log_;
  HttpServer http_;
};

// Default deny: what the table does not name is refused, and what it names needs its key.
void Server::Impl::check(HttpRequest& head) {
  admission_.check_origin(head);
  const RouteMatch match = find_route(head.method, head.path);
  const bool page = match.route == nullptr && (head.method == "GET" || head.method == "HEAD") &&
                    find_web_asset(head.path) != nullptr;
  if (page) return;
  // Strangers do not learn which paths exist.
  head.user =
      admission_.check_key(head, match.route != nullptr ? match.route->scope : Scope::kAnyKey);
  if (match.route == nullptr && !match.allowed.empty())
    throw ApiError(405, "method_not_allowed", fmt::format("this path takes {}", match.allowed));
  if (match.route == nullptr)
    throw ApiError(404, "unknown_url", "there is nothing at this path; see /openapi.json");
  if (service_.draining && match.route->scope == Scope::kInference)
    throw ApiError(503, "shutting_down", "the server is shutting down").retry_after(5);
  if (match.route->scope == Scope::kInference) service_.rates.take_request(head.user);
}

std::optional<HttpResponse> Server::Impl::admit(HttpRequest& head) {
  const std::string_view wanted = head.header("x-request-id");
  head.id = is_request_id(wanted) ? std::string(wanted) : "req_" + random_token(12);
  const RouteMatch match = find_route(head.method, head.path);
  try {
    if (head.method == "OPTIONS" && !admission_.allowed_origin(head).empty()) return preflight();
    check(head);
    return std::nullopt;
  } catch (const std::exception& error) {
    const ApiStyle style = match.route != nullptr ? match.route->style : ApiStyle::kOpenAi;
    const ApiError shown = api_error_of(error);
    if (shown.status() == 401 || shown.status() == 429)
      service_.metrics->count_rejection(shown.api_code());
    HttpResponse response = error_response(shown, style);
    if (shown.status() == 405) response.headers.emplace_back("allow", match.allowed);
    return response;
  }
}

HttpResponse Server::Impl::preflight() {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  response.headers = {{"access-control-allow-methods", "GET, POST, DELETE"},
                      {"access-control-allow-headers",
                       "authorization, content-type, x-api-key, anthropic-version, x-request-id"},
                      {"access-control-max-age", "600"}};
  return response;
}

HttpResponse Server::Impl::refusal(int status, const std::string& message) {
  const char* code = status == 413   ? "body_too_large"
                     : status == 431 ? "headers_too_large"
                     : status == 408 ? "timeout"
                     : status == 503 ? "overloaded"
                                     : "bad_request";
  return error_response(ApiError(status, code, message), ApiStyle::kOpenAi);
}

void Server::Impl::finish_head(const HttpRequest& request, HttpResponse& response) {
  const auto add = [&](const char* name, std::string value) {
    for (const auto& field : response.headers)
      if (field.first == name) return;
    response.headers.emplace_back(name, std::move(value));
  };
  if (!request.id.empty()) add("x-request-id", request.id);
  add("x-content-type-options", "nosniff");
  add("referrer-policy", "no-referrer");
  add("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  add("cache-control", "no-store");
  if (!options_.http.tls_certificate.empty()) add("strict-transport-security", "max-age=31536000");
  const RouteMatch match = find_route(request.method, request.path);
  if (match.route != nullptr && match.route->scope == Scope::kInference && response.status != 401) {
    for (auto& field : service_.rates.headers(request.user))
      add(field.first.c_str(), std::move(field.second));
  }
  const std::string origin = admission_.allowed_origin(request);
  if (!origin.empty()) {
    add("access-control-allow-origin", origin);
    add("access-control-expose-headers",
        "x-request-id, retry-after, x-ratelimit-remaining-requests, "
        "x-ratelimit-remaining-tokens");
    add("vary", "origin");
  }
}

void Server::Impl::answered(const HttpRequest& request, const Answered& answer) {
  const std::string_view route = route_name(request);
  service_.metrics->count_http(route, answer.status);
  // Probes every second would bury everything else.
  if (answer.status < 400 &&
      (route == "/health" || route == "/ready" || route == "/metrics" || route == "web"))
    return;
  log_.request(request, route, answer);
}

void Server::Impl::handle(std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  RouteMatch match = find_route(request.method, request.path);
  if (match.route == nullptr) {
    exchange->respond(web_asset_response(*find_web_asset(request.path), request));
    return;
  }
  auto call = std::make_shared<Call>();
  call->exchange = std::move(exchange);
  call->caller.key_id = request.user;
  call->route = match.route;
  call->id = std::move(match.id);
  if (match.route->quick) return run(call);
  service_.workers->post([this, call] { run(call); });
}

void Server::Impl::run(const std::shared_ptr<Call>& call) {
  try {
    try {
      call->route->action(service_, *call);
    } catch (const ModelAway& away) {
      wait_for_model(call, away.name());
    }
  } catch (const std::exception& error) {
    refuse(*call, error);
  }
}

void Server::Impl::refuse(const Call& call, const std::exception& error) {
  const ApiError shown = api_error_of(error);
  // What is not shown to the client is in the log.
  if (shown.status() >= 500) log_error("request {}: {}", call.request().id, error.what());
  if (shown.status() == 429 || shown.status() == 503)
    service_.metrics->count_rejection(shown.api_code());
  call.exchange->respond(error_response(shown, call.route->style));
}

// The call begins anew when its model is there; nothing of it has been done yet.
void Server::Impl::wait_for_model(const std::shared_ptr<Call>& call, const std::string& name) {
  using Clock = ModelHost::Clock;
  const double seconds = service_.limits.request_seconds;
  Clock::time_point deadline = Clock::time_point::max();
  if (seconds > 0)
    deadline = Clock::now() +
               std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  const uint64_t waiter = host_->wait(
      name, deadline, [this, call](const ModelLease& model, const std::exception_ptr& error) {
        service_.workers->post([this, call, model, error] {
          if (call->exchange->gone()) return;
          call->model = model;
          if (error == nullptr) return run(call);
          try {
            std::rethrow_exception(error);
          } catch (const std::exception& shown) {
            refuse(*call, shown);
          }
        });
      });
  call->exchange->on_gone([host = host_.get(), waiter] { host->forget(waiter); });
}

// On the I/O thread; SQLite may wait for another process, so a worker asks it.
void Server::Impl::tick() {
  host_->tick();
  const auto now = std::chrono::steady_clock::now();
  if (!service_.keys || now - keys_read_ < std::chrono::seconds(1) || refreshing_.exchange(true))
    return;
  keys_read_ = now;
  service_.workers->post([this] {
    try {
      service_.keys->refresh();
    } catch (const std::exception& error) {
      log_error("keys cannot be read again: {}", error.what());
    }
    refreshing_ = false;
  });
}

void Server::Impl::stop() {
  using Clock = std::chrono::steady_clock;
  service_.draining = true;
  host_->drain(Clock::now());
  // What the engine ended becomes text, and text leaves: both quick, unless a client does not read.
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  while (service_.workers->waiting() > 0 && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  http_.drain();
  while (http_.counts().connections > 0 && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  http_.stop();
}

namespace {

std::shared_ptr<ModelHost> host_of(ServedModel model, const std::string& version) {
  HostedModel hosted;
  hosted.name = model.name;
  hosted.aliases = model.aliases;
  hosted.load = [model = std::move(model)](const LoadProgress&) { return model; };
  HostOptions options;
  options.version = version;
  auto host = std::make_shared<ModelHost>(std::vector<HostedModel>{std::move(hosted)}, options);
  host->load_now("");
  return host;
}

}  // namespace

Server::Server(const ServerOptions& options, std::shared_ptr<ModelHost> models,
               std::shared_ptr<KeyStore> keys, std::shared_ptr<ResponseStore> responses)
    : impl_(std::make_unique<Impl>(options, std::move(models), std::move(keys),
                                   std::move(responses))) {}

Server::Server(const ServerOptions& options, ServedModel model, std::shared_ptr<KeyStore> keys,
               std::shared_ptr<ResponseStore> responses)
    : Server(options, host_of(std::move(model), options.version), std::move(keys),
             std::move(responses)) {}

Server::~Server() { stop(); }

void Server::start() { impl_->http().start(); }
int Server::port() const { return impl_->http().port(); }

void Server::begin_drain() {
  impl_->service().draining = true;
  impl_->service().host->stop_accepting();
  impl_->log().event("draining", "no new requests");
}

int64_t Server::running() const {
  return static_cast<int64_t>(impl_->service().active.list().size());
}

void Server::stop() { impl_->stop(); }

void Server::reload(const ServerOptions& options) {
  impl_->http().reload_tls();
  if (impl_->service().keys) impl_->service().keys->refresh();
  impl_->http().set_limits(options.http.limits);
  impl_->service().limits = options.limits;
  impl_->service().rates.set(options.limits.requests_per_minute, options.limits.tokens_per_minute);
  impl_->log().set_format(options.log);
  impl_->log().event("reloaded", "certificates, keys, limits");
}

}  // namespace headgate
