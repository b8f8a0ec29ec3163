// Schemas as text: a table to be read, and parsed once for each document.
#include "server/openapi_shapes.h"

namespace headgate {
namespace {

struct Shape {
  std::string_view pattern;  // of the route
  std::string_view field;    // of the body; empty: the answer
  std::string_view schema;
};

constexpr std::string_view kUsage =
    R"({"type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
        "properties": {"prompt_tokens": {"type": "integer", "minimum": 0},
                       "completion_tokens": {"type": "integer", "minimum": 0},
                       "total_tokens": {"type": "integer", "minimum": 0},
                       "prompt_tokens_details": {"$ref": "#/components/schemas/PromptDetails"}}})";

constexpr std::string_view kPromptDetails =
    R"({"type": "object", "description": "What the prefix cache did for the prompt",
        "required": ["cached_tokens", "cache_tier", "replayed_tokens", "miss_position", "miss_reason"],
        "properties": {"cached_tokens": {"type": "integer", "minimum": 0, "description": "Not computed"},
          "cache_tier": {"enum": ["none", "memory", "disk"]},
          "replayed_tokens": {"type": "integer", "description": "Known, and computed again all the same"},
          "miss_position": {"type": "integer", "minimum": 0, "description": "The first token that was never seen here"},
          "miss_reason": {"enum": ["none", "differs", "unknown_prompt"]}}})";

constexpr std::string_view kModelList =
    R"({"type": "object", "required": ["object", "data"], "properties": {"object": {"const": "list"},
        "data": {"type": "array", "minItems": 1, "items": {"type": "object",
          "required": ["id", "object", "created", "owned_by", "max_model_len", "state"],
          "properties": {"id": {"type": "string"}, "object": {"const": "model"},
            "state": {"enum": ["unloaded", "loading", "loaded", "leaving", "unloading", "failed"]},
            "progress": {"type": "number", "minimum": 0, "maximum": 1}, "created": {"type": "integer"}, "max_model_len": {"type": "integer", "minimum": 1}}}}}})";

constexpr std::string_view kChatMessages =
    R"({"type": "array", "minItems": 1, "maxItems": 16384,
        "items": {"type": "object", "required": ["role", "content"], "properties": {
          "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
          "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object",
            "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]}}},
        "examples": [[{"role": "user", "content": "Hello!"}]]})";

constexpr std::string_view kTextOrIds =
    R"({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer", "minimum": 0}},
                  {"type": "array", "minItems": 1, "items": {"type": "string"}},
                  {"type": "array", "minItems": 1, "items": {"type": "array", "items": {"type": "integer", "minimum": 0}}}],
        "examples": ["Once upon a time"]})";

constexpr std::string_view kFunctions =
    R"({"type": ["array", "null"], "maxItems": 256, "items": {"type": "object", "required": ["type", "function"],
        "properties": {"type": {"const": "function"}, "function": {"type": "object", "required": ["name"],
          "properties": {"name": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"},
            "description": {"type": "string"}, "parameters": {"type": "object"}, "strict": {"type": ["boolean", "null"]}}}}}})";

constexpr std::string_view kSession =
    R"({"type": "object", "required": ["object", "name"], "properties": {
        "object": {"enum": ["session", "session.deleted"]}, "name": {"type": "string"},
        "tokens": {"type": "integer", "minimum": 0}, "bytes": {"type": "integer", "minimum": 0},
        "seconds": {"type": "number", "minimum": 0}, "conversation": {"type": "object"}}})";

constexpr Shape kShapes[] = {
    {"/health", "", R"({"type": "object", "required": ["status"]})"},
    {"/ready", "", R"({"type": "object", "required": ["status"]})"},
    {"/load", "",
     R"({"type": "object", "required": ["server_load"], "properties": {"server_load": {"type": "integer", "minimum": 0}}})"},
    {"/version", "",
     R"({"type": "object", "required": ["version"], "properties": {"version": {"type": "string"}}})"},
    {"/v1/status", "",
     R"({"type": "object", "required": ["version", "state", "uptime_s", "model", "requests", "tokens", "memory", "active"]})"},
    {"/v1/models", "", kModelList},
    {"/v1/chat/completions", "",
     R"({"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {
         "object": {"const": "chat.completion"}, "created": {"type": "integer"}, "usage": {"$ref": "#/components/schemas/Usage"},
         "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
           "required": ["index", "message", "logprobs", "finish_reason"], "properties": {
             "index": {"type": "integer"}, "finish_reason": {"enum": ["stop", "length", "tool_calls"]},
             "message": {"type": "object", "required": ["role", "content"], "properties": {
               "role": {"const": "assistant"}, "content": {"type": ["string", "null"]},
               "tool_calls": {"type": "array", "items": {"type": "object", "required": ["id", "type", "function"]}}}}}}}}})"},
    {"/v1/completions", "",
     R"({"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {
         "object": {"const": "text_completion"}, "usage": {"$ref": "#/components/schemas/Usage"},
         "choices": {"type": "array", "minItems": 1, "items": {"type": "object",
           "required": ["index", "text", "logprobs", "finish_reason"], "properties": {
             "text": {"type": "string"}, "finish_reason": {"enum": ["stop", "length"]}}}}}})"},
    {"/v1/messages", "",
     R"({"type": "object", "required": ["id", "type", "role", "model", "content", "stop_reason", "usage"], "properties": {
         "type": {"const": "message"}, "role": {"const": "assistant"},
         "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]},
         "usage": {"type": "object", "required": ["input_tokens", "output_tokens", "cache_read_input_tokens"], "properties": {
           "input_tokens": {"type": "integer", "minimum": 0}, "output_tokens": {"type": "integer", "minimum": 0},
           "cache_read_input_tokens": {"type": "integer", "minimum": 0}, "cache_creation_input_tokens": {"type": "integer", "minimum": 0},
           "input_tokens_details": {"$ref": "#/components/schemas/PromptDetails"}}},
         "content": {"type": "array", "items": {"type": "object", "required": ["type"],
           "properties": {"type": {"enum": ["text", "thinking", "tool_use"]}}}}}})"},
    {"/v1/messages/count_tokens", "",
     R"({"type": "object", "required": ["input_tokens"], "properties": {"input_tokens": {"type": "integer", "minimum": 1}}})"},
    {"/v1/responses", "",
     R"({"type": "object", "required": ["id", "object", "created_at", "status", "model", "output", "usage"], "properties": {
         "object": {"const": "response"}, "output": {"type": "array"},
         "usage": {"type": ["object", "null"], "properties": {"input_tokens": {"type": "integer", "minimum": 0},
           "output_tokens": {"type": "integer", "minimum": 0}, "total_tokens": {"type": "integer", "minimum": 0},
           "input_tokens_details": {"$ref": "#/components/schemas/PromptDetails"}}},
         "status": {"enum": ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]}}})"},
    {"/v1/sessions/{id}", "", kSession},
    {"/v1/sessions/{id}/load", "", kSession},
    {"/v1/sessions", "messages", kChatMessages},
    {"/v1/sessions", "tools", kFunctions},
    {"/v1/sessions", "name",
     R"({"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$", "examples": ["notes"]})"},
    {"/v1/embeddings", "",
     R"({"type": "object", "required": ["object", "data", "model", "usage"], "properties": {"object": {"const": "list"},
         "data": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["object", "index", "embedding"],
           "properties": {"object": {"const": "embedding"}}}}}})"},
    {"/tokenize", "",
     R"({"type": "object", "required": ["count", "max_model_len", "tokens"], "properties": {"tokens": {"type": "array"}}})"},
    {"/detokenize", "",
     R"({"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}})"},
    {"/tokenizer_info", "",
     R"({"type": "object", "required": ["tokenizer_class", "vocab_size", "eos_token", "chat_template"]})"},
    {"/apply-template", "",
     R"({"type": "object", "required": ["prompt", "tokens"], "properties": {"prompt": {"type": "string"}}})"},
    {"/v1/chat/completions", "messages", kChatMessages},
    {"/v1/chat/completions", "tools", kFunctions},
    {"/apply-template", "messages", kChatMessages},
    {"/tokenize", "messages", kChatMessages},
    {"/v1/messages", "messages",
     R"({"type": "array", "minItems": 1, "maxItems": 16384, "items": {"type": "object", "required": ["role", "content"],
         "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string", "minLength": 1}}},
         "examples": [[{"role": "user", "content": "Hello!"}]]})"},
    {"/v1/completions", "prompt", kTextOrIds},
    {"/v1/embeddings", "input", kTextOrIds},
    {"/v1/responses", "input",
     R"({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}], "examples": ["Hello!"]})"},
    {"/detokenize", "tokens",
     R"({"type": "array", "items": {"type": "integer", "minimum": 0}, "examples": [[1, 2, 3]]})"},
};

}  // namespace

json::object answer_shape(std::string_view pattern) {
  for (const Shape& shape : kShapes)
    if (shape.pattern == pattern && shape.field.empty())
      return parse_json(shape.schema, "openapi").get_object();
  if (pattern == "usage") return parse_json(kUsage, "openapi").get_object();
  if (pattern == "prompt details") return parse_json(kPromptDetails, "openapi").get_object();
  return {{"type", "object"}};
}

json::object event_shape() {
  return parse_json(R"({"type": "object", "required": ["data"], "properties": {
                        "event": {"type": "string"}, "data": {"type": "string"}}})",
                    "openapi")
      .get_object();
}

void refine_body(std::string_view pattern, json::object& body) {
  json::object& properties = body.at("properties").get_object();
  for (const Shape& shape : kShapes) {
    if (shape.pattern != pattern || shape.field.empty()) continue;
    json::value* field =
        properties.if_contains(json::string_view(shape.field.data(), shape.field.size()));
    if (field == nullptr) continue;
    json::object refined = parse_json(shape.schema, "openapi").get_object();
    if (const json::value* text = field->get_object().if_contains("description"))
      refined["description"] = *text;
    *field = std::move(refined);
  }
}

}  // namespace headgate
