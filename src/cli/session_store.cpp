// Names, notes, and what of a conversation is settled.
#include "cli/session_store.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "cache/state_file.h"
#include "control/database.h"

namespace headgate {
namespace {

constexpr std::string_view kSuffix = ".hgsession";
constexpr size_t kLongestName = 100;

}  // namespace

SessionStore::SessionStore(const std::string& folder)
    : folder_(folder.empty() ? default_state_folder() + "/sessions" : folder) {}

std::string SessionStore::path_of(const std::string& name) const {
  const bool plain = !name.empty() && name.size() <= kLongestName && name.front() != '.' &&
                     name.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789._-") == std::string::npos;
  if (!plain) {
    fail(ErrorCode::kInvalidArgument,
         "session name: found \"{}\", expected letters, digits, '.', '_' and '-'", name);
  }
  return folder_ + "/" + name + std::string(kSuffix);
}

bool SessionStore::has(const std::string& name) const { return file_exists(path_of(name)); }

void SessionStore::make_folder() const {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot make the folder: {}", folder_, error.message());
}

std::vector<SavedSession> SessionStore::list() const {
  std::vector<SavedSession> out;
  struct Close {
    void operator()(DIR* open) const { ::closedir(open); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(folder_.c_str()));
  if (dir == nullptr) return out;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string file = entry->d_name;
    if (file.size() <= kSuffix.size() || !file.ends_with(kSuffix)) continue;
    SavedSession session;
    session.name = file.substr(0, file.size() - kSuffix.size());
    const std::string path = folder_ + "/" + file;
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) continue;
    session.bytes = info.st_size;
    session.modified = info.st_mtim.tv_sec;
    try {
      session.tokens = read_state_header(path).position();
    } catch (const Error& error) {
      session.problem = error.what();
    }
    out.push_back(std::move(session));
  }
  std::sort(out.begin(), out.end(),
            [](const SavedSession& a, const SavedSession& b) { return a.name < b.name; });
  return out;
}

void SessionStore::remove(const std::string& name) const {
  const std::string path = path_of(name);
  if (::unlink(path.c_str()) == 0) return;
  if (errno == ENOENT) fail(ErrorCode::kNotFound, "session {}: not found in {}", name, folder_);
  fail(ErrorCode::kIo, "{}: cannot remove: {}", path, std::strerror(errno));
}

std::string conversation_note(const Conversation& conversation) {
  return dump_json(json::object{{"messages", conversation.messages},
                                {"tools", conversation.tools},
                                {"template_kwargs", conversation.template_kwargs}});
}

bool read_conversation_note(const std::string& note, Conversation& conversation) {
  if (note.empty()) return false;
  const json::value value = parse_json(note, "the session's conversation");
  const auto* fields = value.if_object();
  const auto part = [&](const char* name) {
    return fields != nullptr ? fields->if_contains(name) : nullptr;
  };
  const json::value *messages = part("messages"), *tools = part("tools"),
                    *kwargs = part("template_kwargs");
  if (messages == nullptr || tools == nullptr || !tools->is_array() || kwargs == nullptr ||
      !kwargs->is_object())
    fail(ErrorCode::kInvalidFile, "session: found no conversation in its note");
  conversation.messages = read_messages(*messages, "the session's conversation");
  conversation.tools = tools->get_array();
  conversation.template_kwargs = kwargs->get_object();
  return true;
}

std::vector<int32_t> stable_prefix(const Completion& completion, const Conversation& conversation) {
  const auto ids_with = [&](const char* text) {
    Conversation next = conversation;
    next.add_user(text);
    CompletionRequest request;
    request.chat = next.prompt();
    return completion.prompt_ids(request);
  };
  std::vector<int32_t> ids = ids_with("a");
  const std::vector<int32_t> other = ids_with("1 b");
  const auto differ = std::mismatch(ids.begin(), ids.end(), other.begin(), other.end()).first;
  ids.erase(differ, ids.end());
  return ids;
}

}  // namespace headgate
