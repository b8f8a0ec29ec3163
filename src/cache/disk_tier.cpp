// The index of the tier, its quota, and the jobs of its two threads.
#include "cache/disk_tier.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "cache/block_file.h"
#include "cache/disk_scan.h"
#include "cache/state_file.h"

namespace headgate {
namespace {

// After a write that failed (a full disk, say) nothing is tried for so long.
constexpr std::chrono::seconds kRetryAfter{30};
constexpr int kReadThreads = 2;  // somebody waits; writing has time, and one
// Of an entry besides itself: its places in maps, and what allocations take for themselves.
constexpr int64_t kEntryOverhead = 128;

}  // namespace

// What a worker needs: it sees nothing else of the tier.
struct DiskTier::Job {
  DiskEntry* entry = nullptr;
  std::atomic<bool> stop{false}, done{false};
  std::exception_ptr error;

  // A store.
  std::optional<Snapshot> snapshot;  // keeps the memory
  ConstStateImage source;
  StateFileInfo info;
  std::string kv_path, st_path;  // empty: not written
  bool complete = false;

  // A fetch: files from the first page to the last, then the state.
  struct Piece {
    DiskEntry* entry;
    std::string path;
    int64_t first;
    std::span<const std::span<std::byte>> pages;
  };
  StateImage target;
  std::vector<Piece> pieces;
  Digest profile{};
  DiskEntry* damaged = nullptr;  // the one whose pages could not be read
  bool damaged_state = false;
  int64_t bytes = 0;

  void store();
  void fetch();
};

void DiskTier::Job::store() {
  try {
    if (!kv_path.empty() && !write_state_file(kv_path, info, source.pages, {}, &stop)) return;
    if (!st_path.empty()) {
      info.first_page += info.pages;
      info.pages = 0;
      info.parent = {};
      complete = write_state_file(st_path, info, {}, source.recurrent, &stop);
    } else {
      complete = true;
    }
    if (!complete && !kv_path.empty()) ::unlink(kv_path.c_str());
  } catch (...) {
    error = std::current_exception();
    if (!kv_path.empty()) ::unlink(kv_path.c_str());
  }
}

void DiskTier::Job::fetch() {
  try {
    for (const Piece& piece : pieces) {
      damaged = piece.entry;
      const StateFileInfo found = read_state_header(piece.path);
      if (found.profile != profile || found.position() != piece.entry->position ||
          found.first_page != piece.entry->first_page) {
        fail(ErrorCode::kInvalidFile, "{}: is not what it was", piece.path);
      }
      read_state_file(piece.path, found, piece.first, piece.pages, {}, &stop, kReadThreads);
    }
    damaged = nullptr;
    if (!st_path.empty()) {
      damaged_state = true;
      const StateFileInfo found = read_state_header(st_path);
      if (found.profile != profile || found.deferred != target.deferred)
        fail(ErrorCode::kInvalidFile, "{}: is not what it was", st_path);
      read_state_file(st_path, found, 0, {}, target.recurrent, &stop);
      damaged_state = false;
    }
    complete = true;
  } catch (...) {
    error = std::current_exception();
  }
}

DiskTier::DiskTier(const DiskTierOptions& options, const StateShape& shape)
    : options_(options), shape_(shape) {
  std::error_code error;
  std::filesystem::create_directories(options_.folder, error);
  if (error) {
    fail(ErrorCode::kIo, "{}: cannot make the folder of the prefix cache: {}", options_.folder,
         error.message());
  }
  lock_folder();
  writer_.emplace("hg-cache-write");
  reader_.emplace("hg-cache-read");
  try {
    DiskScan scan(options_.folder, options_.profile, shape_);
    index(scan);
  } catch (...) {
    ::close(lock_fd_);
    throw;
  }
}

DiskTier::~DiskTier() {
  if (store_ != nullptr) store_->stop = true;
  if (fetch_ != nullptr) fetch_->stop = true;
  writer_.reset();
  reader_.reset();
  ::close(lock_fd_);
}

void DiskTier::lock_folder() {
  const std::string path = options_.folder + "/lock";
  lock_fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) fail(ErrorCode::kIo, "{}: cannot open: {}", path, std::strerror(errno));
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) == 0) return;
  ::close(lock_fd_);
  fail(ErrorCode::kInvalidArgument,
       "{}: found in use by another process, expected a folder of one's own", options_.folder);
}

void DiskTier::index(DiskScan& scan) {
  std::vector<std::pair<int64_t, Digest>> by_age;
  for (const auto& [id, item] : scan.items) by_age.push_back({item.modified_ns, id});
  std::sort(by_age.begin(), by_age.end());
  for (const auto& [age, id] : by_age) {
    const DiskScan::Item& item = scan.items.at(id);
    auto entry = std::make_unique<DiskEntry>();
    entry->id = id;
    entry->position = item.pages.position();
    entry->deferred = item.pages.deferred;
    entry->first_page = item.pages.first_page;
    entry->pages = item.pages.pages;
    entry->kv_bytes = item.pages.file_bytes;
    entry->state_bytes = item.state_bytes;
    entry->serves = shape_.recurrent_layers == 0 || item.state_bytes > 0;
    entry->ready = true;
    use(entry.get());
    bytes_ += entry->bytes();
    entries_.emplace(id, std::move(entry));
  }
  for (auto& [id, item] : scan.items) {
    DiskEntry* entry = entries_.at(id).get();
    if (item.pages.first_page > 0) {
      entry->parent = entries_.at(item.pages.parent).get();
      ++entry->parent->children;
    }
    found_.push_back({item.pages.salt, std::move(item.pages.tokens), entry});
  }
  foreign_ = std::move(scan.foreign);
  for (const auto& [path, size] : foreign_) bytes_ += size;
  totals_.damaged = scan.damaged;
  if (!entries_.empty()) {
    log_info("prefix cache: {}: {} states in {} MB", options_.folder, stats().entries,
             bytes_ / 1000000);
  }
  // The quota may be smaller than it was.
  std::vector<DiskEntry*> removed;
  (void)make_room(0, removed);
  std::erase_if(found_, [&](const Found& found) {
    return std::find(removed.begin(), removed.end(), found.entry) != removed.end();
  });
}

std::vector<DiskTier::Found> DiskTier::take_found() { return std::exchange(found_, {}); }

std::string DiskTier::path_of(const Digest& id, const char* suffix) const {
  return options_.folder + "/" + hex_of(id) + suffix;
}

void DiskTier::unlink_later(const std::string& path) {
  writer_->post([path] { ::unlink(path.c_str()); });
}

bool DiskTier::may_store() const {
  return store_ == nullptr && std::chrono::steady_clock::now() >= retry_at_;
}

DiskEntry* DiskTier::least_worth() const {
  DiskEntry* least = nullptr;
  double least_worth = 0;
  for (const auto& [id, entry] : entries_) {
    if (!entry->ready || !entry->serves || entry->readers > 0) continue;
    if (store_ != nullptr && store_->entry == entry.get()) continue;
    const int64_t freed = entry->children == 0 ? entry->bytes() : entry->state_bytes;
    if (freed == 0) continue;
    const DiskEntry* before = entry->parent;
    while (before != nullptr && !before->serves) before = before->parent;
    const int64_t saved = entry->position - (before != nullptr ? before->position : 0);
    const double worth = static_cast<double>(saved) / static_cast<double>(freed) /
                         static_cast<double>(clock_ - entry->last_use + 1);
    if (least == nullptr || worth < least_worth) {
      least = entry.get();
      least_worth = worth;
    }
  }
  return least;
}

bool DiskTier::make_room(int64_t bytes, std::vector<DiskEntry*>& removed) {
  while (bytes_ + bytes > options_.quota_bytes) {
    if (!foreign_.empty()) {
      unlink_later(foreign_.front().first);
      bytes_ -= foreign_.front().second;
      foreign_.erase(foreign_.begin());
      continue;
    }
    if (!drop_least(removed)) return false;
  }
  return true;
}

bool DiskTier::drop_least(std::vector<DiskEntry*>& removed) {
  DiskEntry* least = least_worth();
  if (least == nullptr) return false;
  ++totals_.removed;
  drop_state(least, removed);
  return true;
}

int64_t DiskTier::memory_bytes() const {
  int64_t bytes = static_cast<int64_t>(entries_.size()) *
                  (static_cast<int64_t>(sizeof(DiskEntry)) + kEntryOverhead);
  // One buffer of the file and one of each thread; headers are small beside them.
  if (store_ != nullptr) bytes += 2 * file_buffer_bytes(store_->bytes);
  if (fetch_ != nullptr) bytes += (1 + kReadThreads) * file_buffer_bytes(fetch_->bytes);
  return bytes;
}

void DiskTier::drop_state(DiskEntry* entry, std::vector<DiskEntry*>& removed) {
  if (entry->state_bytes > 0) unlink_later(path_of(entry->id, ".st"));
  bytes_ -= entry->state_bytes;
  entry->state_bytes = 0;
  if (shape_.recurrent_layers > 0) entry->serves = false;
  if (entry->children == 0) drop_files(entry, removed);
}

// Its pages too, and those before it that nothing needs then.
void DiskTier::drop_files(DiskEntry* entry, std::vector<DiskEntry*>& removed) {
  while (entry != nullptr && entry->children == 0) {
    DiskEntry* parent = entry->parent;
    drop_entry(entry, removed);
    if (parent == nullptr) return;
    --parent->children;
    const bool needed = parent->serves || parent->readers > 0 || !parent->ready ||
                        (store_ != nullptr && store_->entry == parent);
    if (needed) return;
    entry = parent;
  }
}

void DiskTier::drop_entry(DiskEntry* entry, std::vector<DiskEntry*>& removed) {
  removed.push_back(entry);
  bytes_ -= entry->bytes();
  // In this order: a state without its pages would be taken for damage.
  if (entry->state_bytes > 0) unlink_later(path_of(entry->id, ".st"));
  unlink_later(path_of(entry->id, ".kv"));
  entries_.erase(entry->id);
}

void DiskTier::drop_with_dependents(DiskEntry* entry, std::vector<DiskEntry*>& removed) {
  if (store_ != nullptr) abort_store();  // it may stand on this one
  std::vector<DiskEntry*> falling{entry};
  for (size_t i = 0; i < falling.size(); ++i) {
    for (const auto& [id, other] : entries_) {
      if (other->parent == falling[i]) falling.push_back(other.get());
    }
  }
  DiskEntry* parent = entry->parent;
  for (DiskEntry* each : falling) drop_entry(each, removed);
  if (parent == nullptr) return;
  --parent->children;
  if (!parent->serves && parent->readers == 0) drop_files(parent, removed);
}

void DiskTier::remove_all(std::vector<DiskEntry*>& removed) {
  if (store_ != nullptr) abort_store();
  for (auto at = entries_.begin(); at != entries_.end();) {
    DiskEntry* entry = (at++)->second.get();
    if (entry->readers == 0) drop_entry(entry, removed);
  }
}

DiskEntry* DiskTier::begin_store(const Digest& salt, std::span<const int32_t> tokens,
                                 DiskEntry* parent, const Snapshot& snapshot,
                                 std::vector<DiskEntry*>& removed) {
  HEADGATE_CHECK(store_ == nullptr);
  auto job = std::make_unique<Job>();
  StateFileInfo& info = job->info;
  info.profile = options_.profile;
  info.salt = salt;
  info.tokens.assign(tokens.begin(), tokens.end());
  const Digest id = state_id(info.profile, info.salt, info.tokens);
  const auto known = entries_.find(id);
  if (known != entries_.end() && known->second->serves) return nullptr;
  job->source = snapshot.image();
  info.deferred = job->source.deferred;
  info.page_tokens = shape_.attention_layers > 0 ? shape_.kv.page_tokens : 0;
  info.page_bytes = shape_.page_bytes();
  if (parent != nullptr && info.page_tokens > 0) {
    info.first_page = parent->position / info.page_tokens;
    if (info.first_page > 0) info.parent = parent->id;
  }
  if (info.first_page == 0) parent = nullptr;
  const auto all = static_cast<int64_t>(job->source.pages.size());
  job->source.pages.erase(job->source.pages.begin(),
                          job->source.pages.begin() + static_cast<ptrdiff_t>(info.first_page));
  const int64_t state = state_bytes_of(shape_, info.deferred);
  const int64_t position = info.position();
  const int64_t kv_bytes =
      known != entries_.end()
          ? 0
          : state_file_bytes(position, all - info.first_page, info.page_bytes, 0, 0);
  const int64_t st_bytes = state > 0 ? state_file_bytes(position, 0, info.page_bytes, state, 0) : 0;
  // What it stands on must not go to make room for it.
  DiskEntry* kept = known != entries_.end() ? known->second.get() : parent;
  if (kept != nullptr) ++kept->children;
  const bool fits = make_room(kv_bytes + st_bytes, removed);
  if (kept != nullptr) --kept->children;
  if (!fits) return nullptr;

  job->snapshot = snapshot;
  if (known == entries_.end()) {
    auto fresh = std::make_unique<DiskEntry>();
    fresh->id = id;
    fresh->parent = parent;
    fresh->position = position;
    fresh->first_page = info.first_page;
    fresh->pages = all - info.first_page;
    fresh->kv_bytes = kv_bytes;
    if (parent != nullptr) ++parent->children;
    job->kv_path = path_of(id, ".kv");
    job->entry = fresh.get();
    entries_.emplace(id, std::move(fresh));
  } else {
    job->entry = known->second.get();
  }
  job->entry->deferred = info.deferred;
  job->entry->state_bytes = st_bytes;
  bytes_ += kv_bytes + st_bytes;
  job->bytes = kv_bytes + st_bytes;
  if (st_bytes > 0) job->st_path = path_of(id, ".st");
  store_ = std::move(job);
  writer_->post([this, work = store_.get()] {
    work->store();
    work->done = true;
    bell_.ring();
  });
  return store_->entry;
}

void DiskTier::abort_store() {
  if (store_ == nullptr) return;
  store_->stop = true;
  while (store_ != nullptr) {
    collect();
    if (store_ != nullptr) bell_.wait(std::chrono::milliseconds(50));
  }
}

int64_t DiskTier::fetch_bytes(const DiskEntry& entry, int64_t first_page) {
  int64_t bytes = entry.state_bytes;
  int64_t end = entry.first_page + entry.pages;
  for (const DiskEntry* at = &entry; at != nullptr && end > first_page; at = at->parent) {
    const int64_t page = at->pages > 0 ? at->kv_bytes / at->pages : 0;
    bytes += (end - std::max(at->first_page, first_page)) * page;
    end = at->first_page;
  }
  return bytes;
}

void DiskTier::begin_fetch(DiskEntry* entry, const StateImage& image, int64_t first_page) {
  HEADGATE_CHECK(fetch_ == nullptr && entry->serves && entry->ready);
  HEADGATE_CHECK(image.position == entry->position && image.deferred == entry->deferred);
  fetch_ = std::make_unique<Job>();
  fetch_->entry = entry;
  fetch_->target = image;
  fetch_->profile = options_.profile;
  fetch_->bytes = fetch_bytes(*entry, first_page);
  auto end = static_cast<int64_t>(image.pages.size());
  for (DiskEntry* at = entry; at != nullptr; at = at->parent) {
    ++at->readers;
    const int64_t first = std::max(at->first_page, first_page);
    if (end <= first) continue;
    const auto pages = std::span<const std::span<std::byte>>(fetch_->target.pages)
                           .subspan(static_cast<size_t>(first), static_cast<size_t>(end - first));
    fetch_->pieces.push_back({at, path_of(at->id, ".kv"), first, pages});
    end = first;
  }
  std::reverse(fetch_->pieces.begin(), fetch_->pieces.end());
  if (entry->state_bytes > 0) fetch_->st_path = path_of(entry->id, ".st");
  reader_->post([this, work = fetch_.get()] {
    work->fetch();
    work->done = true;
    bell_.ring();
  });
}

void DiskTier::end_store(Job& job, Done& done) {
  done.ok = job.complete;
  if (job.error != nullptr) {
    try {
      std::rethrow_exception(job.error);
    } catch (const std::exception& error) {
      log_warning("prefix cache: {}; nothing is written for {} s", error.what(),
                  kRetryAfter.count());
    }
    ++totals_.failed;
    retry_at_ = std::chrono::steady_clock::now() + kRetryAfter;
  }
  DiskEntry* entry = job.entry;
  if (done.ok) {
    entry->ready = entry->serves = true;
    use(entry);
    ++totals_.stored;
    totals_.stored_bytes += job.bytes;
    return;
  }
  bytes_ -= entry->state_bytes;
  entry->state_bytes = 0;
  // An entry that was there before it was written to has its pages still.
  if (!entry->ready) {
    done.entry = nullptr;
    bytes_ -= entry->kv_bytes;
    DiskEntry* parent = entry->parent;
    entries_.erase(entry->id);
    if (parent == nullptr) return;
    --parent->children;
    if (!parent->serves && parent->readers == 0 && parent->ready) drop_files(parent, done.removed);
  } else if (entry->children == 0 && entry->readers == 0) {
    drop_files(entry, done.removed);
    done.entry = nullptr;
  }
}

void DiskTier::end_fetch(Job& job, Done& done) {
  done.ok = job.complete;
  for (DiskEntry* at = job.entry; at != nullptr; at = at->parent) --at->readers;
  if (done.ok) {
    use(job.entry);
    ++totals_.fetched;
    totals_.fetched_bytes += job.bytes;
    // So that a restart knows what was used last.
    const std::string path = job.st_path.empty() ? path_of(job.entry->id, ".kv") : job.st_path;
    writer_->post([path] { ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0); });
    return;
  }
  try {
    std::rethrow_exception(job.error);
  } catch (const std::exception& error) {
    log_warning("prefix cache: {}; removed", error.what());
  }
  ++totals_.damaged;
  if (job.damaged != nullptr) {
    drop_with_dependents(job.damaged, done.removed);
  } else {
    drop_state(job.entry, done.removed);
  }
}

void DiskTier::collect() {
  if (store_ != nullptr && store_->done) {
    const std::unique_ptr<Job> job = std::move(store_);
    Done done{false, false, job->entry, {}};
    end_store(*job, done);
    done_.push_back(std::move(done));
  }
  if (fetch_ != nullptr && fetch_->done) {
    const std::unique_ptr<Job> job = std::move(fetch_);
    Done done{true, false, job->entry, {}};
    end_fetch(*job, done);
    done_.push_back(std::move(done));
  }
}

std::vector<DiskTier::Done> DiskTier::poll() {
  collect();
  return std::exchange(done_, {});
}

void DiskTier::wait(std::chrono::milliseconds most) { bell_.wait(most); }

DiskTierStats DiskTier::stats() const {
  DiskTierStats out = totals_;
  for (const auto& [id, entry] : entries_) out.entries += entry->serves ? 1 : 0;
  out.bytes = bytes_;
  out.memory_bytes = memory_bytes();
  out.quota_bytes = options_.quota_bytes;
  return out;
}

}  // namespace headgate
