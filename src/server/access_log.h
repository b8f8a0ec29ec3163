// One line for each answered request, as JSON or for people; never a prompt, an answer or a key.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "server/http/http_server.h"

namespace headgate {

enum class LogFormat { kText, kJson, kOff };

// Thread rule: any thread.
class AccessLog {
 public:
  explicit AccessLog(LogFormat format) : format_(format) {}

  // `route` is the pattern, not the path: ids and names that clients chose stay out.
  void request(const HttpRequest& request, std::string_view route, const Answered& answer);
  // Something that happened to the server: "listening", "draining".
  void event(std::string_view name, std::string_view detail);
  void set_format(LogFormat format) { format_ = format; }

 private:
  void write(std::string line);

  std::atomic<LogFormat> format_;
};

}  // namespace headgate
