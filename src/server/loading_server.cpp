// One answer to everything, given before any body is read.
#include "server/loading_server.h"

#include "server/api_error.h"

namespace headgate {

class LoadingServer::Impl : public HttpHandler {
 public:
  explicit Impl(const HttpServerOptions& options) : http_(options, *this) { http_.start(); }

  std::optional<HttpResponse> admit(HttpRequest&) override { return answer(); }
  void handle(std::shared_ptr<Exchange> exchange) override { exchange->respond(answer()); }
  void finish_head(const HttpRequest&, HttpResponse& response) override {
    response.headers.emplace_back("cache-control", "no-store");
  }
  void answered(const HttpRequest&, const Answered&) override {}
  HttpResponse refusal(int status, const std::string& message) override {
    return error_response(ApiError(status, "bad_request", message), ApiStyle::kOpenAi);
  }
  int port() const { return http_.port(); }

 private:
  static HttpResponse answer() {
    return error_response(ApiError(503, "loading", "the model is being loaded").retry_after(1),
                          ApiStyle::kOpenAi);
  }

  HttpServer http_;
};

LoadingServer::LoadingServer(const ServerOptions& options)
    : impl_(std::make_unique<Impl>(options.http)) {}
LoadingServer::~LoadingServer() = default;

int LoadingServer::port() const { return impl_->port(); }

}  // namespace headgate
