// Requests to a headgate server (or any that speaks OpenAI's API), by libcurl.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace headgate {

// Thread rule: one thread at a time.
class HttpClient {
 public:
  // `url` is the server's root ("http://127.0.0.1:8000"; a "/v1" at its end is taken off). `key`
  // may be empty. Throws kInvalidArgument for a URL that is not http or https.
  HttpClient(const std::string& url, const std::string& key);
  ~HttpClient();

  // The JSON of the answer. Throws kIo when the server cannot be reached, kInvalidArgument with the
  // server's message when it refuses (kNotFound for 404, kResourceExhausted for 429 and 503).
  json::value get(const std::string& path);
  // Posts `body` and hands over the text behind each "data: " of the answer until "[DONE]". `stop`
  // is polled; true hangs up and returns false.
  bool stream(const std::string& path, const json::value& body,
              const std::function<void(std::string_view)>& on_event,
              const std::function<bool()>& stop);

  const std::string& url() const;

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// The first line of the file, else HEADGATE_API_KEY, else OPENAI_API_KEY: not an option, which
// every user of the machine could read in the list of processes. Throws kNotFound.
std::string client_key(const std::optional<std::string>& file);

}  // namespace headgate
