// What answers while the model is loaded: 503 and when to ask again, in place of a refused
// connection.
#pragma once

#include <memory>

#include "server/server.h"

namespace headgate {

class LoadingServer {
 public:
  // Listens where the server will. Throws what HttpServer does.
  explicit LoadingServer(const ServerOptions& options);
  ~LoadingServer();  // frees the port
  LoadingServer(const LoadingServer&) = delete;
  LoadingServer& operator=(const LoadingServer&) = delete;

  int port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate
