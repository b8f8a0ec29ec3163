// Cached states to files of their own and back, on request.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache/disk_worker.h"
#include "cache/prefix_cache.h"
#include "cache/sequence_state.h"

namespace headgate {

struct SessionOutcome {
  ErrorCode code = ErrorCode::kInternal;
  std::string error;              // empty: it went well
  int64_t tokens = 0, bytes = 0;  // of the state; of the file
  double seconds = 0;             // from the beginning of the work
};

// One file to be written or read. Salts and `stretched` are those of the requests that the state
// is for.
struct SessionAsk {
  std::string path;
  std::string cache_salt;
  std::optional<bool> stretched;
  // Save: the prompt whose longest cached state is kept, and a note to keep with it.
  std::vector<int32_t> tokens;
  std::string note;
  // Save: whether a file of so many bytes may be written. Called once at most, on the engine's
  // thread: must be quick. Not set: it may.
  std::function<bool(int64_t bytes)> admit;
  // Called once, on the engine's thread: must be quick.
  std::function<void(const SessionOutcome&)> done;
};

// One file at a time, in order; a thread of its own writes and reads them, so that no step waits.
// Thread rule: the engine's thread.
class NamedSessions {
 public:
  // All outlive it. `free_memory` drops a cached state, or says that there is none.
  NamedSessions(const Digest& profile, StatePool& pool, PrefixCache& prefixes,
                std::function<bool()> free_memory);
  // What has not ended ends with kCancelled.
  ~NamedSessions();
  NamedSessions(const NamedSessions&) = delete;
  NamedSessions& operator=(const NamedSessions&) = delete;

  void save(SessionAsk ask) { asked_.push_back({std::move(ask), {}, true}); }
  // Files of these salts are taken.
  void load(SessionAsk ask, std::vector<Digest> salts) {
    asked_.push_back({std::move(ask), std::move(salts), false});
  }
  // Begins and ends what can be; quick.
  void tend();
  bool is_busy() const { return job_ != nullptr || !asked_.empty(); }
  int64_t waiting() const { return static_cast<int64_t>(asked_.size()); }
  // Until something may have ended, or the time is over.
  void wait(std::chrono::milliseconds most) { bell_.wait(most); }

 private:
  struct Asked {
    SessionAsk ask;
    std::vector<Digest> salts;
    bool save;
  };
  struct Job;

  void begin_save();
  void begin_load();
  bool reserve(Job& job);
  void finish_load();
  void post(void (Job::*work)());
  void end(const std::string& error, ErrorCode code);

  Digest profile_;
  StatePool& pool_;
  PrefixCache& prefixes_;
  std::function<bool()> free_memory_;
  std::deque<Asked> asked_;
  std::unique_ptr<Job> job_;
  DiskBell bell_;
  std::optional<DiskWorker> worker_;  // made when first wanted; last: it ends first
};

}  // namespace headgate
