// When to write, when to read, and what to give up when memory is short.
#include "engine/stored_prefixes.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

// A state is written when it has been in the cache for so long: most that go again go before.
constexpr auto kSettle = std::chrono::milliseconds(500);
constexpr auto kLookEvery = std::chrono::milliseconds(20);
constexpr auto kAfterAbort = std::chrono::milliseconds(1000);
constexpr int64_t kLeastStored = 32;   // tokens
constexpr int64_t kLeastFetched = 16;  // that memory does not have
// Until reads have been measured.
constexpr double kBytesPerSecond = 500e6;
constexpr double kSecondsPerRead = 0.002;
// Parts of the pool's budget, at least a megabyte: what the index of states may take, so that
// states on disk do not displace those in memory; and what comes free, for a sequence that the
// budget was made for must not fail for some tokens of index.
constexpr int64_t kIndexPart = 16, kFreePart = 64, kLeastPart = 1 << 20;

}  // namespace

StoredPrefixes::StoredPrefixes(const EngineOptions& options, const ModelConfig& config,
                               StatePool& pool, PrefixCache& prefixes)
    : pool_(pool), prefixes_(prefixes) {
  if (options.cache_folder.empty() || !options.prefix_cache) return;
  tier_ = std::make_unique<DiskTier>(
      DiskTierOptions{options.cache_folder, options.cache_disk_bytes,
                      state_profile(options.model_identity, config, pool.shape())},
      pool.shape());
  for (const DiskTier::Found& found : tier_->take_found())
    prefixes_.attach(found.salt, found.tokens, found.entry);
  count_memory();
}

StoredPrefixes::~StoredPrefixes() {
  tier_.reset();  // before the memory that it reads into
}

// Drops states on disk until the index takes at most so many bytes.
bool StoredPrefixes::shrink_index(int64_t most) {
  bool dropped = false;
  while (tier_ != nullptr && prefixes_.index_bytes() + tier_->memory_bytes() > most) {
    std::vector<DiskEntry*> removed;
    if (!tier_->drop_least(removed)) break;
    dropped = true;
    for (const DiskEntry* gone : removed) prefixes_.detach(gone);
  }
  return dropped;
}

void StoredPrefixes::set_other_bytes() {
  const int64_t bytes = prefixes_.index_bytes() + (tier_ != nullptr ? tier_->memory_bytes() : 0);
  const int64_t comes_free = std::max(pool_.budget_bytes() / kFreePart, kLeastPart);
  pool_.set_other_bytes(std::max<int64_t>(bytes - comes_free, 0));
}

// The budget is for what the states need to be found and moved, too.
void StoredPrefixes::count_memory() {
  (void)shrink_index(std::max(pool_.budget_bytes() / kIndexPart, kLeastPart));
  set_other_bytes();
  while (pool_.is_over() && prefixes_.evict_one()) set_other_bytes();
  if (tier_ != nullptr) stats_ = tier_->stats();
}

void StoredPrefixes::take_done() {
  for (DiskTier::Done& done : tier_->poll()) {
    for (const DiskEntry* gone : done.removed) {
      prefixes_.detach(gone);
      if (fetch_ && fetch_->entry == gone) fetch_->entry = nullptr;
    }
    if (done.was_fetch) {
      end_fetch(done.ok);
      continue;
    }
    if (!store_) continue;
    if (done.ok) prefixes_.attach(store_->salt, store_->tokens, done.entry);
    prefixes_.end_store(store_->salt, store_->tokens, false);
    store_.reset();
  }
}

void StoredPrefixes::end_fetch(bool ok) {
  HEADGATE_CHECK(fetch_.has_value());
  if (ok && fetch_->entry != nullptr) {
    fetch_->state.filled(fetch_->entry->position, fetch_->entry->deferred);
    prefixes_.insert_stored(fetch_->entry, std::move(fetch_->state).freeze());
    const double seconds = std::chrono::duration<double>(Clock::now() - fetch_->begun).count();
    // Small reads say little about the disk.
    if (fetch_->bytes >= 1 << 20)
      read_bytes_per_second_ = static_cast<double>(fetch_->bytes) / std::max(seconds, 1e-6);
  }
  fetch_.reset();
}

void StoredPrefixes::tend() {
  if (tier_ != nullptr) take_done();
  count_memory();
  if (tier_ == nullptr) return;
  const auto now = Clock::now();
  if (now < next_look_ || !tier_->may_store()) return;
  next_look_ = now + kLookEvery;
  (void)begin_store(now - kSettle);
}

bool StoredPrefixes::begin_store(Clock::time_point before) {
  std::optional<PrefixCache::Candidate> next = prefixes_.begin_store(kLeastStored, before);
  if (!next) return false;
  std::vector<DiskEntry*> removed;
  const DiskEntry* begun =
      tier_->begin_store(next->salt, next->tokens, next->parent, next->snapshot, removed);
  for (const DiskEntry* gone : removed) prefixes_.detach(gone);
  if (begun == nullptr) {
    prefixes_.end_store(next->salt, next->tokens, true);
  } else {
    store_ = Store{next->salt, std::move(next->tokens)};
  }
  return true;
}

bool StoredPrefixes::pays(const DiskEntry& entry, int64_t saved, double seconds_per_token) const {
  if (seconds_per_token <= 0) return true;
  const double speed = read_bytes_per_second_ > 0 ? read_bytes_per_second_ : kBytesPerSecond;
  const double seconds =
      kSecondsPerRead + static_cast<double>(DiskTier::fetch_bytes(entry, 0)) / speed;
  return seconds < static_cast<double>(saved) * seconds_per_token;
}

bool StoredPrefixes::awaits(const std::string& salt, std::span<const int32_t> tokens, int64_t most,
                            int64_t room, double seconds_per_token) {
  if (tier_ == nullptr) return false;
  const PrefixCache::StoredMatch match = prefixes_.find_stored(salt, tokens, most);
  const int64_t saved = match.position - match.in_memory;
  if (match.entry == nullptr || saved < kLeastFetched ||
      !pays(*match.entry, saved, seconds_per_token))
    return false;
  if (fetch_) return true;
  if (!begin_fetch(match, salt, tokens, most, room)) return false;
  last_fetched_ = Fetched{PrefixCache::salt_digest(salt), {}};
  last_fetched_->tokens.assign(tokens.begin(), tokens.begin() + match.position);
  return true;
}

int64_t StoredPrefixes::fetched(const std::string& salt, std::span<const int32_t> tokens) const {
  if (!last_fetched_ || last_fetched_->salt != PrefixCache::salt_digest(salt)) return 0;
  const std::vector<int32_t>& known = last_fetched_->tokens;
  const bool same =
      known.size() <= tokens.size() && std::equal(known.begin(), known.end(), tokens.begin());
  return same ? static_cast<int64_t>(known.size()) : 0;
}

bool StoredPrefixes::begin_fetch(const PrefixCache::StoredMatch& match, const std::string& salt,
                                 std::span<const int32_t> tokens, int64_t most, int64_t room) {
  const StateShape& shape = pool_.shape();
  DiskEntry* entry = match.entry;
  const int64_t page = std::max<int64_t>(shape.kv.page_tokens, 1);
  const int64_t needed =
      shape.recurrent_bytes() + (entry->position / page + 2) * shape.page_bytes();
  if (needed > room) return false;
  std::optional<SequenceState> state = pool_.create();
  while (!state && free_memory()) state = pool_.create();
  if (!state) return false;
  const PrefixCache::Match base = prefixes_.find(salt, tokens, std::min(most, match.position));
  if (base.snapshot && state->restore(*base.snapshot)) (void)state->rewind(base.position);
  const int64_t begun = state->position();
  while (!state->reserve(entry->position - begun)) {
    if (!free_memory()) return false;
  }
  const int64_t first_page = begun / page;
  tier_->begin_fetch(entry, state->image_at(entry->position, entry->deferred), first_page);
  fetch_.emplace(
      Fetch{entry, std::move(*state), Clock::now(), DiskTier::fetch_bytes(*entry, first_page)});
  return true;
}

bool StoredPrefixes::free_memory() {
  if (prefixes_.evict_one()) return true;
  if (tier_ == nullptr) return false;
  // What runs goes before what may be asked again.
  const int64_t index = prefixes_.index_bytes() + tier_->memory_bytes();
  if (!store_ && !fetch_ && shrink_index(index / 2)) {
    set_other_bytes();
    return true;
  }
  if (store_) {
    tier_->abort_store();
    take_done();
    next_look_ = Clock::now() + kAfterAbort;
    return prefixes_.evict_one();
  }
  if (!fetch_) return false;
  while (fetch_) {
    tier_->wait(std::chrono::milliseconds(50));
    take_done();
  }
  // What was read is needed by somebody, but what is running goes first.
  return prefixes_.evict_one();
}

void StoredPrefixes::forget() {
  prefixes_.clear();
  if (tier_ == nullptr) return;
  std::vector<DiskEntry*> removed;
  tier_->remove_all(removed);
  store_.reset();
  if (fetch_) fetch_->entry = nullptr;
  count_memory();
}

bool StoredPrefixes::has_work() const {
  return tier_ != nullptr && (store_ || fetch_ || prefixes_.wants_store(kLeastStored));
}

void StoredPrefixes::wait(std::chrono::milliseconds most) {
  if (tier_ != nullptr) tier_->wait(most);
}

void StoredPrefixes::flush(Clock::time_point deadline) {
  if (tier_ == nullptr) return;
  while (Clock::now() < deadline) {
    take_done();
    const bool begun = tier_->may_store() && begin_store(Clock::now());
    if (!begun && !store_) return;
    tier_->wait(std::chrono::milliseconds(20));
  }
  tier_->abort_store();
  take_done();
}

}  // namespace headgate
