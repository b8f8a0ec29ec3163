// The OpenAPI document, made of the same tables that route and check requests.
#include "server/openapi_shapes.h"
#include "server/router.h"

namespace headgate {
namespace {

json::object reference(const char* name) {
  return {{"$ref", std::string("#/components/schemas/") + name}};
}

json::object json_content(json::object schema) {
  return {{"application/json", json::object{{"schema", std::move(schema)}}}};
}

json::object responses_of(const Route& route) {
  json::object content = json_content(answer_shape(route.pattern));
  if (route.streams) content["text/event-stream"] = json::object{{"schema", event_shape()}};
  if (route.pattern == "/metrics")
    content = {{"text/plain", json::object{{"schema", json::object{{"type", "string"}}}}}};
  json::object responses = {
      {"200", json::object{{"description", "Success"}, {"content", std::move(content)}}}};
  const char* const error = route.style == ApiStyle::kAnthropic ? "AnthropicError" : "Error";
  const auto add = [&](const char* status, const char* text) {
    responses[status] =
        json::object{{"description", text}, {"content", json_content(reference(error))}};
  };
  if (route.scope == Scope::kPublic) {
    responses["503"] = json::object{{"description", "Not now"},
                                    {"content", json_content(json::object{{"type", "object"}})}};
    return responses;
  }
  add("400", "The request is wrong; error.param names the field");
  add("401", "No key, or a wrong one");
  add("403", "The key may not do this");
  add("404", "No such model or object");
  add("413", "The body is too large");
  add("429", "Too much at once: try again after Retry-After");
  add("500", "The server failed");
  add("503", "Shutting down or out of memory: try again after Retry-After");
  add("504", "The request took longer than the server allows");
  return responses;
}

std::string operation_id(const Route& route) {
  std::string id;
  for (const char c : std::string(route.method) + std::string(route.pattern)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain) {
      id += c;
    } else if (!id.empty() && id.back() != '_') {
      id += '_';
    }
  }
  return id;
}

json::object operation_of(const Route& route) {
  json::object operation = {{"summary", std::string(route.summary)},
                            {"operationId", operation_id(route)},
                            {"responses", responses_of(route)}};
  if (route.fields != nullptr) {
    json::object body = schema_of(route.fields(), route.required);
    refine_body(route.pattern, body);
    operation["requestBody"] =
        json::object{{"required", true}, {"content", json_content(std::move(body))}};
  }
  if (route.pattern.find('{') != std::string_view::npos) {
    operation["parameters"] =
        json::array{json::object{{"name", "id"},
                                 {"in", "path"},
                                 {"required", true},
                                 {"schema", json::object{{"type", "string"}}}}};
  }
  if (route.scope == Scope::kPublic) operation["security"] = json::array();
  return operation;
}

json::object components() {
  const json::object text = {{"type", "string"}};
  const json::object text_or_null = {{"type", json::array{"string", "null"}}};
  json::object error = {
      {"type", "object"},
      {"required", json::array{"error"}},
      {"properties",
       json::object{
           {"error", json::object{{"type", "object"},
                                  {"required", json::array{"message", "type", "param", "code"}},
                                  {"properties", json::object{{"message", text},
                                                              {"type", text},
                                                              {"param", text_or_null},
                                                              {"code", text_or_null}}}}}}}};
  json::object anthropic = {
      {"type", "object"},
      {"required", json::array{"type", "error"}},
      {"properties",
       json::object{{"type", json::object{{"const", "error"}}},
                    {"error", json::object{{"type", "object"},
                                           {"required", json::array{"type", "message"}},
                                           {"properties",
                                            json::object{{"type", text}, {"message", text}}}}}}}};
  return {{"schemas", json::object{{"Error", std::move(error)},
                                   {"AnthropicError", std::move(anthropic)},
                                   {"Usage", answer_shape("usage")},
                                   {"PromptDetails", answer_shape("prompt details")}}},
          {"securitySchemes",
           json::object{{"key", json::object{{"type", "http"}, {"scheme", "bearer"}}}}}};
}

}  // namespace

json::object openapi_document(std::string_view version) {
  json::object paths;
  for (const Route& route : routes()) {
    std::string path(route.pattern);
    const size_t dots = path.find("...}");
    if (dots != std::string::npos) path.erase(dots, 3);
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    json::value& item = paths[path];
    if (!item.is_object()) item = json::object();
    item.get_object()[method] = operation_of(route);
  }
  return {{"openapi", "3.1.0"},
          {"info", json::object{{"title", "Headgate"},
                                {"version", std::string(version)},
                                {"license", json::object{{"name", "Apache-2.0"}}}}},
          // The second: a server that only its own machine can reach asks for no key.
          {"security", json::array{json::object{{"key", json::array()}}, json::object()}},
          {"paths", std::move(paths)},
          {"components", components()}};
}

}  // namespace headgate
