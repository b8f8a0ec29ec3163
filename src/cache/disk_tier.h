// States that went from memory to a folder on disk, and come back from there, also after a restart.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "cache/disk_worker.h"
#include "cache/sequence_state.h"

namespace headgate {

// One state on disk. Two files have its name: ".kv" with its pages from first_page on (the ones
// before are those of `parent`), and ".st" with its recurrent state. The second may go while others
// need the pages of the first.
struct DiskEntry {
  Digest id{};
  DiskEntry* parent = nullptr;
  int64_t position = 0;  // tokens
  int64_t deferred = 0;
  int64_t first_page = 0, pages = 0;
  int64_t kv_bytes = 0, state_bytes = 0;  // of the files
  bool serves = false;                    // has all that a sequence needs to go on from it
  bool ready = false;                     // written
  int64_t children = 0;                   // entries whose pages begin in this one
  int64_t readers = 0;
  int64_t last_use = 0;  // on the tier's clock

  int64_t bytes() const { return kv_bytes + state_bytes; }
};

struct DiskTierOptions {
  std::string folder;  // made where it is missing
  int64_t quota_bytes = 0;
  Digest profile{};  // what a state must fit to be served; see StateFileInfo
};

struct DiskTierStats {
  int64_t entries = 0;  // that serve
  int64_t bytes = 0, quota_bytes = 0;
  int64_t stored = 0, stored_bytes = 0;    // written since the start
  int64_t fetched = 0, fetched_bytes = 0;  // read since the start
  int64_t removed = 0;                     // for want of room
  int64_t damaged = 0;                     // files found unfit, and taken away
  int64_t failed = 0;                      // writes that failed
  int64_t memory_bytes = 0;                // of the index, and of buffers in use
};

// Keeps the index and the quota; reads and writes happen on two threads of its own, which touch
// nothing but files and the memory of the states they were given. Thread rule: every call from the
// one thread that owns the pool.
class DiskTier {
 public:
  // Takes the folder for itself, removes what a crash left half done, and reads the headers of all
  // files: whatever does not fit is left out with a line in the log. Throws kIo for a folder that
  // cannot be used and kInvalidArgument for one that another process uses.
  DiskTier(const DiskTierOptions& options, const StateShape& shape);
  ~DiskTier();  // breaks off what runs
  DiskTier(const DiskTier&) = delete;
  DiskTier& operator=(const DiskTier&) = delete;

  struct Found {
    Digest salt{};
    std::vector<int32_t> tokens;
    DiskEntry* entry = nullptr;
  };
  // What the folder held at the start; once.
  std::vector<Found> take_found();

  // One store at a time. Makes room by dropping what is worth least, adding what went to
  // `removed` (the pointers are no longer valid). nullptr when the entry does not fit the quota or
  // is there already.
  bool is_storing() const { return store_ != nullptr; }
  bool may_store() const;  // none runs, and the last did not fail a moment ago
  DiskEntry* begin_store(const Digest& salt, std::span<const int32_t> tokens, DiskEntry* parent,
                         const Snapshot& snapshot, std::vector<DiskEntry*>& removed);
  // Gives the running store up: its memory is free when this returns, after some milliseconds.
  void abort_store();

  // One fetch at a time: the state of `entry` into `image`, whose pages before `first_page` are
  // there already.
  bool is_fetching() const { return fetch_ != nullptr; }
  void begin_fetch(DiskEntry* entry, const StateImage& image, int64_t first_page);
  // Of an entry and the ones it stands on, from `first_page` on.
  static int64_t fetch_bytes(const DiskEntry& entry, int64_t first_page);

  struct Done {
    bool was_fetch = false;
    bool ok = false;
    DiskEntry* entry = nullptr;       // not valid where removed has it
    std::vector<DiskEntry*> removed;  // with it: a damaged entry takes those that stand on it along
  };
  // What has ended since the last call.
  std::vector<Done> poll();
  // Until something may have ended, or the time is over.
  void wait(std::chrono::milliseconds most);

  void use(DiskEntry* entry) { entry->last_use = ++clock_; }
  // Drops the state that is worth least; false: there is none that may go.
  bool drop_least(std::vector<DiskEntry*>& removed);
  void remove_all(std::vector<DiskEntry*>& removed);
  DiskTierStats stats() const;
  int64_t memory_bytes() const;  // of the index, and of the buffers of what runs

 private:
  struct Job;

  void lock_folder();
  void index(struct DiskScan& scan);
  bool make_room(int64_t bytes, std::vector<DiskEntry*>& removed);
  DiskEntry* least_worth() const;
  void drop_state(DiskEntry* entry, std::vector<DiskEntry*>& removed);
  void drop_files(DiskEntry* entry, std::vector<DiskEntry*>& removed);
  void drop_with_dependents(DiskEntry* entry, std::vector<DiskEntry*>& removed);
  void drop_entry(DiskEntry* entry, std::vector<DiskEntry*>& removed);
  void unlink_later(const std::string& path);
  std::string path_of(const Digest& id, const char* suffix) const;
  void collect();
  void end_store(Job& job, Done& done);
  void end_fetch(Job& job, Done& done);

  DiskTierOptions options_;
  StateShape shape_;
  int lock_fd_ = -1;
  std::map<Digest, std::unique_ptr<DiskEntry>> entries_;
  std::vector<Found> found_;
  // Files of other models and builds: the first to go, oldest first.
  std::vector<std::pair<std::string, int64_t>> foreign_;
  int64_t bytes_ = 0, clock_ = 0;
  std::chrono::steady_clock::time_point retry_at_{};
  std::unique_ptr<Job> store_, fetch_;
  std::vector<Done> done_;
  DiskTierStats totals_;
  DiskBell bell_;
  std::optional<DiskWorker> writer_, reader_;  // last: they end first
};

}  // namespace headgate
