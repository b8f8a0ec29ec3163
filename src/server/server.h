// The server: models behind HTTP, safe to put on a network.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "server/access_log.h"
#include "server/http/http_server.h"
#include "server/model_host.h"
#include "server/service.h"

namespace headgate {

struct ServerOptions {
  HttpServerOptions http;
  bool require_keys = false;  // else only public addresses... see check_exposure()
  // Names under which browsers may reach this server besides its own addresses; empty with a public
  // address: any, since keys are needed there.
  std::vector<std::string> allowed_hosts;
  std::vector<std::string> cors_origins;  // pages of these origins may call; empty: none
  ServiceLimits limits;
  LogFormat log = LogFormat::kText;
  std::string session_folder;  // of /v1/sessions; empty: none are kept
  int64_t session_bytes = int64_t{32} << 30;
  bool echo_repair = true;  // see AnswerEchoes
  std::string version;
  int workers = 3;
};

// Whether only this machine can reach an address.
bool is_loopback_host(const std::string& host);

// Refuses what would let strangers in: an address that others can reach, without any key. Throws
// kInvalidArgument, with the remedies.
void check_exposure(const ServerOptions& options, const KeyStore* keys, bool insecure);

class Server {
 public:
  // Binds the port; see HttpServer for what it throws. `keys` and `responses` may be null.
  Server(const ServerOptions& options, std::shared_ptr<ModelHost> models,
         std::shared_ptr<KeyStore> keys, std::shared_ptr<ResponseStore> responses);
  // With one model that is there and stays.
  Server(const ServerOptions& options, ServedModel model, std::shared_ptr<KeyStore> keys,
         std::shared_ptr<ResponseStore> responses);
  ~Server();  // stops at once
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void start();
  int port() const;

  // /ready fails and no new generation is taken from now on.
  void begin_drain();
  // Requests that still run.
  int64_t running() const;
  // Ends what still runs with an error, lets answers leave, closes everything.
  void stop();

  // Reads certificates and keys again, and goes on with the limits and the log format of `options`;
  // the rest of them is ignored.
  void reload(const ServerOptions& options);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate
