// Cached states on their way to disk and back, between the steps of the engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/disk_tier.h"
#include "cache/prefix_cache.h"
#include "engine/engine.h"
#include "engine/state_profile.h"

namespace headgate {

// Writes states that have been in the cache for a moment, one at a time, and brings back those that
// save a prompt more than reading them takes. Without a folder it does nothing. Thread rule: the
// engine's thread.
class StoredPrefixes {
 public:
  // Both outlive it. Throws as DiskTier does.
  StoredPrefixes(const EngineOptions& options, const ModelConfig& config, StatePool& pool,
                 PrefixCache& prefixes);
  ~StoredPrefixes();

  // Takes in what has been read and written, and begins the next write.
  void tend();
  // Whether a prompt should wait: a better state than those in memory is being read, or would be as
  // soon as another is there. Reading one takes at most `room` bytes of the pool.
  // `seconds_per_token`: what a prompt token takes to compute; 0: unknown.
  bool awaits(const std::string& salt, std::span<const int32_t> tokens, int64_t most, int64_t room,
              double seconds_per_token);
  // The tokens that the last state read for this prompt saves it; 0: none was read.
  int64_t fetched(const std::string& salt, std::span<const int32_t> tokens) const;

  // Drops a cached state, or gives up what else holds memory: in the end, all that is known of
  // states on disk. False: there is nothing.
  bool free_memory();
  void forget();

  bool is_reading() const { return fetch_.has_value(); }
  // Whether there is something to write, so that an idle engine should tend() soon.
  bool has_work() const;
  void wait(std::chrono::milliseconds most);
  // Writes what there is until then.
  void flush(std::chrono::steady_clock::time_point deadline);

  const DiskTierStats& stats() const { return stats_; }

 private:
  struct Fetch {
    DiskEntry* entry;  // null once it is gone from the index
    SequenceState state;
    std::chrono::steady_clock::time_point begun;
    int64_t bytes;
  };
  struct Store {
    Digest salt{};
    std::vector<int32_t> tokens;
  };

  void take_done();
  void count_memory();
  void set_other_bytes();
  bool shrink_index(int64_t most);
  void end_fetch(bool ok);
  bool begin_fetch(const PrefixCache::StoredMatch& match, const std::string& salt,
                   std::span<const int32_t> tokens, int64_t most, int64_t room);
  bool begin_store(std::chrono::steady_clock::time_point before);
  bool pays(const DiskEntry& entry, int64_t saved, double seconds_per_token) const;

  StatePool& pool_;
  PrefixCache& prefixes_;
  std::unique_ptr<DiskTier> tier_;  // null: no folder
  std::optional<Fetch> fetch_;
  std::optional<Store> store_;
  struct Fetched {
    Digest salt{};
    std::vector<int32_t> tokens;
  };
  std::optional<Fetched> last_fetched_;
  std::chrono::steady_clock::time_point next_look_{};
  double read_bytes_per_second_ = 0;  // measured; 0: not yet
  DiskTierStats stats_;
};

}  // namespace headgate
