// headgate chat --server: a conversation with a model that runs elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"

namespace headgate {

struct RemoteChatOptions {
  std::string server;
  std::string key;
  std::optional<std::string> model;  // unset: the first of the server's list
  std::optional<std::string> system;
  json::array tools;
  json::object fields;  // sampling fields of the request
};

// Reads inputs by `read` (false: leave) until there are no more; answers are printed as they grow.
int remote_chat(const RemoteChatOptions& options, const std::function<bool(std::string&)>& read);

}  // namespace headgate
