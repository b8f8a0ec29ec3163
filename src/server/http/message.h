// One HTTP request and one answer as plain values: what the server knows of HTTP beyond its
// sockets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;   // upper case: "GET"
  std::string path;     // percent-decoded, begins with '/', without the query
  std::string query;    // behind '?', as it came
  HttpHeaders headers;  // names in lower case
  std::string body;
  std::string peer;     // address of the client without its port
  std::string id;       // of the request: the client's x-request-id where it is well formed
  std::string user;     // the key's id, set when the request is admitted
  bool secure = false;  // came over TLS

  // The first header of this name (lower case), or an empty text.
  std::string_view header(std::string_view name) const;
  bool has_header(std::string_view name) const;
  // How many headers of this name there are.
  int64_t header_count(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  HttpHeaders headers;  // beyond those that every answer has
  bool close = false;   // end the connection after this answer
};

// The value of a name in "a=1&b=2", percent-decoded; empty where it is not there, or is no text.
std::string query_value(std::string_view query, std::string_view name);

// "Not Found" for 404.
std::string_view status_text(int status);

// What the server allows strangers to take. Zero never means "no limit".
struct HttpLimits {
  int64_t header_bytes = 32 << 10;
  int64_t body_bytes = int64_t{32} << 20;
  int64_t bodies_bytes = int64_t{256} << 20;  // of all requests that are being read or answered
  int64_t connections = 2048;
  int64_t connections_per_address = 64;
  // Reverse proxies and load generators on this machine stand behind one loopback address.
  int64_t connections_per_loopback = 1024;
  int64_t stream_buffer_bytes = 1 << 20;  // unsent text of one answer; beyond it the client is cut
  double header_seconds = 10;  // from the first byte (or the connection) to the last of the head
  double idle_seconds = 75;    // between two requests
  double body_grace_seconds = 15;  // a body may take this and one second per body_rate bytes
  int64_t body_rate = 16 << 10;
  double write_stall_seconds =
      30;  // an answer of which nothing could be sent for so long is given up
  double keep_alive_seconds = 15;  // silence in a stream after which a comment is sent
};

}  // namespace headgate
