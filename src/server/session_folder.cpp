// Names checked before they meet a path, and sums over what is there.
#include "server/session_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "server/api_error.h"

namespace headgate {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".hgsession";
constexpr size_t kLongestName = 100;
constexpr size_t kFolderBytes = 16;  // of the digest

ApiError no_such_session(std::string_view name) {
  return {404, "session_not_found",
          fmt::format("there is no session \"{}\"", name.substr(0, kLongestName)), "name"};
}

int64_t seconds_of(const fs::file_time_type& time) {
  const auto age = fs::file_time_type::clock::now() - time;
  const auto when = std::chrono::system_clock::now() -
                    std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
  return std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
}

bool is_session(const fs::path& path) { return path.extension() == kSuffix; }

}  // namespace

SessionFolder::SessionFolder(std::string folder, int64_t most_bytes, int64_t most_sessions)
    : folder_(std::move(folder)), most_bytes_(most_bytes), most_sessions_(most_sessions) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error)
    fail(ErrorCode::kIo, "{}: cannot make the folder of sessions: {}", folder_, error.message());
}

std::string SessionFolder::folder_of(const std::string& tenant) const {
  const Digest digest = Sha256().add("sessions of ").add(tenant).digest();
  return folder_ + "/" + hex_of(digest).substr(0, 2 * kFolderBytes);
}

std::string SessionFolder::path_of(const std::string& tenant, std::string_view name) const {
  const bool plain = !name.empty() && name.size() <= kLongestName && name.front() != '.' &&
                     name.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789._-") == std::string_view::npos;
  if (!plain) {
    throw ApiError(400, "invalid_name",
                   "name: expected 1 to 100 letters, digits, '.', '_' and '-', not beginning with "
                   "'.'",
                   "name");
  }
  return folder_of(tenant) + "/" + std::string(name) + std::string(kSuffix);
}

std::vector<SessionFolder::Saved> SessionFolder::list(const std::string& tenant) const {
  std::vector<Saved> out;
  std::error_code error;
  for (const auto& each : fs::directory_iterator(folder_of(tenant), error)) {
    if (!is_session(each.path())) continue;
    Saved saved;
    saved.name = each.path().stem().string();
    std::error_code gone;
    saved.bytes = static_cast<int64_t>(each.file_size(gone));
    if (gone) continue;
    saved.modified = seconds_of(each.last_write_time(gone));
    try {
      saved.tokens = read_state_header(each.path().string()).position();
    } catch (const Error& failure) {
      if (failure.code() == ErrorCode::kNotFound) continue;
      saved.damaged = true;
    }
    out.push_back(std::move(saved));
  }
  std::sort(out.begin(), out.end(), [](const Saved& a, const Saved& b) { return a.name < b.name; });
  return out;
}

StateFileInfo SessionFolder::header(const std::string& tenant, std::string_view name) const {
  try {
    return read_state_header(path_of(tenant, name));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) throw no_such_session(name);
    if (error.code() != ErrorCode::kInvalidFile) throw;
    throw ApiError(400, "session_damaged",
                   fmt::format("the session \"{}\" is damaged: delete it", name), "name");
  }
}

void SessionFolder::remove(const std::string& tenant, std::string_view name) {
  const std::string path = path_of(tenant, name);
  if (::unlink(path.c_str()) == 0) return;
  if (errno == ENOENT) throw no_such_session(name);
  fail(ErrorCode::kIo, "{}: cannot remove: {}", path, std::strerror(errno));
}

void SessionFolder::prepare(const std::string& tenant, std::string_view name) {
  const std::string path = path_of(tenant, name);
  std::error_code error;
  fs::create_directories(folder_of(tenant), error);
  if (error) fail(ErrorCode::kIo, "sessions: cannot make a folder: {}", error.message());
  int64_t count = 0;
  for (const auto& each : fs::directory_iterator(folder_of(tenant), error))
    count += is_session(each.path()) ? 1 : 0;
  if (count >= most_sessions_ && !fs::exists(path, error)) {
    throw ApiError(400, "session_limit",
                   fmt::format("{} sessions, the most allowed: delete some", count), "name");
  }
  const int64_t bytes = bytes_on_disk();
  const std::lock_guard lock(mutex_);
  used_ = bytes;
}

int64_t SessionFolder::bytes_on_disk() const {
  int64_t bytes = 0;
  std::error_code error;
  for (const auto& tenant : fs::directory_iterator(folder_, error)) {
    std::error_code gone;
    for (const auto& each : fs::directory_iterator(tenant.path(), gone)) {
      const auto size = each.file_size(gone);
      if (!gone && is_session(each.path())) bytes += static_cast<int64_t>(size);
    }
  }
  return bytes;
}

bool SessionFolder::admit(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (used_ + promised_ + bytes > most_bytes_) return false;
  promised_ += bytes;
  return true;
}

void SessionFolder::release(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  promised_ -= bytes;
  used_ += bytes;  // until it is counted again
}

}  // namespace headgate
