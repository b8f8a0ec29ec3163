// /v1/sessions: conversations whose states are kept under a name.
#pragma once

#include <span>

#include "server/fields.h"
#include "server/router.h"

namespace headgate {

struct Service;

std::span<const FieldRule> save_session_rules();
std::span<const FieldRule> load_session_rules();

// Reads a conversation, given or of a stored response, and keeps the state after it.
void save_session(Service& service, Call& call);
void list_sessions(Service& service, Call& call);
void show_session(Service& service, Call& call);  // with its conversation
void delete_session(Service& service, Call& call);
// Brings the state into memory, so that the next request of the conversation starts from it.
void load_session(Service& service, Call& call);

}  // namespace headgate
