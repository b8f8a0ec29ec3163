// Who may come in: keys, wrong keys, names of this server, and pages of other origins.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/api_error.h"
#include "server/http/message.h"
#include "server/router.h"
#include "server/server.h"

namespace headgate {

class KeyStore;

// The text behind "Bearer ", or the x-api-key header; empty when there is none.
std::string_view key_of_request(const HttpRequest& request);

// "example.org" of "example.org:8000", "::1" of "[::1]:8000"; in lower case.
std::string host_name(std::string_view host_header);

// Thread rule: one thread (the I/O thread).
class Admission {
 public:
  using Clock = std::chrono::steady_clock;

  Admission(const ServerOptions& options, const KeyStore* keys);

  // Throws ApiError 403 or 421 for requests that a page of another site, or another name, sent
  // here.
  void check_origin(const HttpRequest& request) const;
  // The key's id, empty where none is needed. Throws ApiError 401, 403 or 429.
  std::string check_key(const HttpRequest& request, Scope scope);
  // The origin that may read the answer; empty: none.
  std::string allowed_origin(const HttpRequest& request) const;

 private:
  struct Failures {
    int count = 0;
    Clock::time_point since;
  };

  bool too_many_failures(const std::string& peer);
  void note_failure(const std::string& peer);

  const KeyStore* keys_;
  bool require_keys_;
  bool check_hosts_;
  std::vector<std::string> hosts_;
  std::vector<std::string> origins_;
  std::unordered_map<std::string, Failures> failures_;  // by address
};

}  // namespace headgate
