// Where the named sessions of a server lie: whose they are, what they are called, how much they
// take.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cache/state_file.h"

namespace headgate {

// One file per session, in a folder per tenant that is named by a digest: neither keys nor what a
// client writes becomes part of a path, but for names of letters, digits, '.', '_' and '-'. Thread
// rule: any thread; all but admit() and release() wait for the disk.
class SessionFolder {
 public:
  // `most_bytes` of all tenants together, `most_sessions` of each. Makes the folder. Throws kIo.
  SessionFolder(std::string folder, int64_t most_bytes, int64_t most_sessions = 1000);

  struct Saved {
    std::string name;
    int64_t tokens = 0, bytes = 0;
    int64_t modified = 0;  // seconds since 1970
    bool damaged = false;
  };
  std::vector<Saved> list(const std::string& tenant) const;  // by name

  // Throws ApiError 400 for what is no name.
  std::string path_of(const std::string& tenant, std::string_view name) const;
  // With the note of a session, and without what its pages are. Throws ApiError 404.
  StateFileInfo header(const std::string& tenant, std::string_view name) const;
  void remove(const std::string& tenant, std::string_view name);  // throws ApiError 404

  // Before a session is written: makes the tenant's folder, and looks how much is there. Throws
  // ApiError 400 when the tenant has as many as may be.
  void prepare(const std::string& tenant, std::string_view name);
  // Sets bytes aside for a file; false where the limit forbids it.
  bool admit(int64_t bytes);
  // The file is there, or will not be.
  void release(int64_t bytes);

 private:
  std::string folder_of(const std::string& tenant) const;
  int64_t bytes_on_disk() const;

  std::string folder_;
  int64_t most_bytes_, most_sessions_;
  std::mutex mutex_;
  int64_t used_ = 0, promised_ = 0;
};

}  // namespace headgate
