// The table of endpoints.
#include "server/anthropic/messages.h"
#include "server/openai/chat_completions.h"
#include "server/openai/completions.h"
#include "server/openai/embeddings.h"
#include "server/openai/models.h"
#include "server/openai/responses.h"
#include "server/openai/tokens.h"
#include "server/router.h"
#include "server/sessions.h"
#include "server/system_endpoints.h"

namespace headgate {
namespace {

constexpr ApiStyle kOpenAi = ApiStyle::kOpenAi;

constexpr Route kRoutes[] = {
    {"GET", "/health", Scope::kPublic, kOpenAi, true, show_health, "Whether the server works",
     nullptr, "", false},
    {"GET", "/ready", Scope::kPublic, kOpenAi, true, show_ready, "Whether it takes requests",
     nullptr, "", false},
    {"GET", "/load", Scope::kAnyKey, kOpenAi, true, show_load,
     "Requests that are being answered or wait", nullptr, "", false},
    {"GET", "/version", Scope::kAnyKey, kOpenAi, true, show_version, "Version of the server",
     nullptr, "", false},
    {"GET", "/metrics", Scope::kMetrics, kOpenAi, true, show_metrics, "Figures for Prometheus",
     nullptr, "", false},
    {"GET", "/v1/status", Scope::kMetrics, kOpenAi, true, show_status, "Live figures", nullptr, "",
     false},
    {"GET", "/openapi.json", Scope::kAnyKey, kOpenAi, false, show_openapi, "This document", nullptr,
     "", false},
    {"GET", "/v1/models", Scope::kAnyKey, kOpenAi, true, list_models, "Models of this server",
     nullptr, "", false},
    {"GET", "/v1/models/{id...}", Scope::kAnyKey, kOpenAi, true, show_model, "One model", nullptr,
     "", false},
    {"POST", "/v1/chat/completions", Scope::kInference, kOpenAi, false, chat_completions,
     "Answer a conversation", chat_completion_rules, "messages", true},
    {"POST", "/v1/completions", Scope::kInference, kOpenAi, false, completions, "Continue a text",
     completion_rules, "prompt", true},
    {"POST", "/v1/messages", Scope::kInference, ApiStyle::kAnthropic, false, create_message,
     "Answer a conversation (Anthropic)", message_rules, "messages max_tokens", true},
    {"POST", "/v1/messages/count_tokens", Scope::kInference, ApiStyle::kAnthropic, false,
     count_tokens, "Tokens of a conversation (Anthropic)", count_tokens_rules, "messages", false},
    {"POST", "/v1/responses", Scope::kInference, kOpenAi, false, create_response,
     "Answer, as items", response_rules, "input", true},
    {"GET", "/v1/responses/{id}", Scope::kInference, kOpenAi, false, show_response,
     "A stored response", nullptr, "", false},
    {"DELETE", "/v1/responses/{id}", Scope::kInference, kOpenAi, false, delete_response,
     "Forget a stored response", nullptr, "", false},
    {"POST", "/v1/responses/{id}/cancel", Scope::kInference, kOpenAi, false, cancel_response,
     "Cancel a background response", nullptr, "", false},
    {"GET", "/v1/responses/{id}/input_items", Scope::kInference, kOpenAi, false,
     list_response_input, "Input of a stored response", nullptr, "", false},
    {"POST", "/v1/sessions", Scope::kInference, kOpenAi, false, save_session,
     "Keep a conversation's state under a name", save_session_rules, "name", false},
    {"GET", "/v1/sessions", Scope::kInference, kOpenAi, false, list_sessions, "Named sessions",
     nullptr, "", false},
    {"GET", "/v1/sessions/{id}", Scope::kInference, kOpenAi, false, show_session,
     "A named session and its conversation", nullptr, "", false},
    {"DELETE", "/v1/sessions/{id}", Scope::kInference, kOpenAi, false, delete_session,
     "Remove a named session", nullptr, "", false},
    {"POST", "/v1/sessions/{id}/load", Scope::kInference, kOpenAi, false, load_session,
     "Bring a named session's state into memory", load_session_rules, "", false},
    {"POST", "/v1/embeddings", Scope::kInference, kOpenAi, false, create_embeddings,
     "Vectors of texts", embedding_rules, "input", false},
    {"POST", "/tokenize", Scope::kInference, kOpenAi, false, tokenize,
     "Text or conversation to token ids", tokenize_rules, "", false},
    {"POST", "/detokenize", Scope::kInference, kOpenAi, false, detokenize, "Token ids to text",
     detokenize_rules, "tokens", false},
    {"GET", "/tokenizer_info", Scope::kInference, kOpenAi, false, tokenizer_info,
     "What the tokenizer is", nullptr, "", false},
    {"POST", "/apply-template", Scope::kInference, kOpenAi, false, apply_template,
     "The text that the model would see", apply_template_rules, "messages", false},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace headgate
