// The HTTP/1.1 listener: sockets, TLS, limits and deadlines, on one thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/http/exchange.h"
#include "server/http/message.h"

namespace headgate {

// How an answer went.
struct Answered {
  int status = 0;
  double seconds = 0;                                  // since the head of the request was there
  bool complete = true;                                // false: the client left, or was given up
  std::vector<std::pair<std::string, int64_t>> notes;  // of Exchange::note()
};

// Who answers. Thread rule: both are called on the I/O thread and must not wait for anything; what
// takes more than a millisecond belongs on another thread, which the exchange allows.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // The head of a request is there, its body is not: an answer refuses it unread. May set the
  // request's id.
  virtual std::optional<HttpResponse> admit(HttpRequest& head) = 0;
  virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
  // Adds the headers that every answer has. `request` may be incomplete for a refusal.
  virtual void finish_head(const HttpRequest& request, HttpResponse& response) = 0;
  // The answer was sent, or given up . For logs.
  virtual void answered(const HttpRequest& request, const Answered& answer) = 0;
  // A request that never became one (malformed, too large, too late) gets this body.
  virtual HttpResponse refusal(int status, const std::string& message) = 0;
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address, or "localhost"
  int port = 0;                    // 0: one that is free
  HttpLimits limits;
  std::string tls_certificate, tls_key;  // PEM files; empty: no TLS
};

struct HttpServerCounts {
  int64_t connections = 0;
  int64_t accepted = 0;
  int64_t refused = 0;  // over a limit of connections
};

class HttpServer {
 public:
  // Binds and listens. Throws kInvalidArgument for a bad address, kIo when the port is taken,
  // kInvalidFile for a bad certificate. `handler` must outlive the server.
  HttpServer(const HttpServerOptions& options, HttpHandler& handler);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Begins to answer, on its own thread.
  void start();
  // Takes no more connections and ends idle ones; running answers go on.
  void drain();
  // Closes everything and waits for the thread.
  void stop();
  // Reads certificate and key again; new connections use them. Throws kInvalidFile, and the old
  // ones stay.
  void reload_tls();

  // Other limits, for requests and connections that begin from now on.
  void set_limits(const HttpLimits& limits);

  int port() const;
  HttpServerCounts counts() const;
  // Calls `action` on the I/O thread about twice a second.
  void on_tick(std::function<void()> action);
  // Runs a task on the I/O thread. Any thread.
  void post(std::function<void()> task);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace headgate
