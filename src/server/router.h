// The table of endpoints: method and path to a function, and who may call it. What is not here does
// not exist.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/fields.h"
#include "server/http/exchange.h"
#include "server/served_model.h"

namespace headgate {

struct Service;

enum class Scope { kPublic, kAnyKey, kInference, kMetrics, kAdmin };

// Who asks, once admitted.
struct Caller {
  std::string key_id;  // empty: no key was needed
  // Whose objects these are, whose share of the machine is used, whose cache is shared.
  const std::string& tenant() const { return key_id; }
};

struct Route;

struct Call {
  std::shared_ptr<Exchange> exchange;
  Caller caller;
  const Route* route = nullptr;
  std::string id;    // what stood for {id} in the path
  ModelLease model;  // set by need_model()

  const HttpRequest& request() const { return exchange->request(); }
};

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/v1/models/{id}"; {id} is one step, or with {id...} all that follow
  Scope scope = Scope::kInference;
  ApiStyle style = ApiStyle::kOpenAi;
  // Runs on the I/O thread: must take microseconds. Others run on a worker.
  bool quick = false;
  void (*action)(Service&, Call&) = nullptr;
  std::string_view summary;
  std::span<const FieldRule> (*fields)() = nullptr;  // of the body
  std::string_view required;                         // of these, separated by spaces
  bool streams = false;                              // may answer with server-sent events
};

// Every endpoint but the files of the web page.
std::span<const Route> routes();

struct RouteMatch {
  const Route* route = nullptr;
  std::string id;
  std::string allowed;  // methods of the path, when only the method is wrong: "GET, POST"
};

// HEAD finds what GET finds.
RouteMatch find_route(std::string_view method, std::string_view path);

// The OpenAPI 3.1 document of routes().
json::object openapi_document(std::string_view version);

}  // namespace headgate
