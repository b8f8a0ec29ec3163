// /v1/responses: answers as items, streamed as typed events, kept for later requests.
#pragma once

#include <memory>
#include <span>

#include "server/fields.h"
#include "server/generation.h"
#include "server/openai/chat_input.h"
#include "server/response_store.h"
#include "server/router.h"

namespace headgate {

std::span<const FieldRule> response_rules();
void create_response(Service& service, Call& call);
void show_response(Service& service, Call& call);
void delete_response(Service& service, Call& call);
void cancel_response(Service& service, Call& call);
void list_response_input(Service& service, Call& call);

// The messages up to and with a stored answer, without instructions. Throws ApiError 404, and 400
// while it runs.
json::array stored_conversation(const Service& service, const Call& call, const std::string& id);

// Input items (or a text) as messages.
json::array messages_of_input(const json::value& input);
// The same as items, as GET .../input_items shows them.
json::array items_of_input(const json::value& input);
// The Responses API's flat tools in the form of chat completions.
json::array turned_response_tools(const json::array& tools);

// What the answer of a response consists of besides what was generated.
struct ResponseFrame {
  std::string id, tenant;
  json::object base;                          // all fields that do not depend on the answer
  json::array input;                          // items
  json::array conversation;                   // messages before the answer
  std::shared_ptr<ResponseStore> store;       // null: not to be stored
  BackgroundResponses* background = nullptr;  // where it runs without its client
};

// The whole and the streaming listener.
std::unique_ptr<GenerationListener> response_listener(const Call& call, ResponseFrame frame,
                                                      bool stream);

}  // namespace headgate
