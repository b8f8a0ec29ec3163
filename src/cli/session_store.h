// Named sessions in a folder: conversations with the state of the model that had them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/chat_commands.h"
#include "engine/session.h"

namespace headgate {

struct SavedSession {
  std::string name;
  int64_t tokens = 0, bytes = 0;
  int64_t modified = 0;  // seconds since 1970
  std::string problem;   // why it cannot be used; empty: nothing known against it
};

class SessionStore {
 public:
  // Empty: `sessions` in the folder of the user's state.
  explicit SessionStore(const std::string& folder);

  // Where a session lies. Throws kInvalidArgument for a name that is no plain file name.
  std::string path_of(const std::string& name) const;
  bool has(const std::string& name) const;
  std::vector<SavedSession> list() const;      // by name
  void remove(const std::string& name) const;  // throws kNotFound
  void make_folder() const;

 private:
  std::string folder_;
};

// The note of a session file: the conversation, or nothing for one that is a text.
std::string conversation_note(const Conversation& conversation);
// False when the note holds no conversation.
bool read_conversation_note(const std::string& note, Conversation& conversation);

// The tokens with which every next turn of the conversation begins, whatever the user will say.
std::vector<int32_t> stable_prefix(const Completion& completion, const Conversation& conversation);

}  // namespace headgate
