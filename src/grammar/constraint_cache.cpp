// The list of constraints, moved to the front when used and cut at the back.
#include "grammar/constraint_cache.h"

namespace headgate {

std::shared_ptr<const TokenConstraint> ConstraintCache::get(const std::string& key,
                                                            const Compile& compile) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found != index_.end()) {
      ++figures_.hits;
      entries_.splice(entries_.begin(), entries_, found->second);
      return found->second->constraint;
    }
    ++figures_.misses;
  }
  std::shared_ptr<const TokenConstraint> made = compile();
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found != index_.end()) return found->second->constraint;  // another thread was faster
  entries_.push_front({key, made});
  index_[key] = entries_.begin();
  trim();
  return made;
}

// A constraint grows while it is used, so that all are asked again; the newest always stays.
void ConstraintCache::trim() {
  int64_t bytes = 0, kept = 0;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const int64_t own =
        entry->constraint->memory_bytes() + 2 * static_cast<int64_t>(entry->key.size());
    const bool fits = kept == 0 || (kept < most_entries_ && bytes + own <= most_bytes_);
    if (fits) {
      bytes += own;
      ++kept;
      ++entry;
    } else {
      index_.erase(entry->key);
      entry = entries_.erase(entry);
    }
  }
  figures_.entries = kept;
  figures_.bytes = bytes;
}

ConstraintCache::Figures ConstraintCache::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

}  // namespace headgate
