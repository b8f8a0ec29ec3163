// Matching of paths. The table itself is in routes.cpp.
#include "server/router.h"

namespace headgate {
namespace {

bool matches(std::string_view pattern, std::string_view path, std::string* id) {
  const size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path;
  if (path.substr(0, brace) != pattern.substr(0, brace)) return false;
  const size_t close = pattern.find('}');
  const std::string_view tail = pattern.substr(close + 1);
  std::string_view rest = path.substr(brace);
  if (rest.size() <= tail.size() || rest.substr(rest.size() - tail.size()) != tail) return false;
  rest.remove_suffix(tail.size());
  const bool many_steps =
      pattern.substr(brace, close - brace).find("...") != std::string_view::npos;
  if (!many_steps && rest.find('/') != std::string_view::npos) return false;
  *id = std::string(rest);
  return true;
}

}  // namespace

RouteMatch find_route(std::string_view method, std::string_view path) {
  RouteMatch match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : routes()) {
    std::string id;
    if (!matches(route.pattern, path, &id)) continue;
    if (route.method == wanted) {
      match.route = &route;
      match.id = std::move(id);
      return match;
    }
    match.allowed += (match.allowed.empty() ? "" : ", ") + std::string(route.method);
  }
  return match;
}

}  // namespace headgate
