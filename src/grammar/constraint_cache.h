// Compiled constraints by what they were compiled from: the newest ones, within a budget.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "sampling/token_constraint.h"

namespace headgate {

// A least-recently-used cache in memory. Keys must hold everything that the constraint depends on:
// kind, text, options, model; and the tenant, where tenants must not notice each other's requests.
// Thread rule: any thread; compiling happens on the caller's, outside of the lock.
class ConstraintCache {
 public:
  explicit ConstraintCache(int64_t most_bytes = int64_t{256} << 20, int64_t most_entries = 256)
      : most_bytes_(most_bytes), most_entries_(most_entries) {}

  using Compile = std::function<std::shared_ptr<const TokenConstraint>()>;
  // The constraint of this key; compiled where it is not there. What `compile` throws goes through
  // and is not remembered.
  std::shared_ptr<const TokenConstraint> get(const std::string& key, const Compile& compile);

  struct Figures {
    int64_t entries = 0;
    int64_t bytes = 0;  // of the constraints, as they were when last one was added
    int64_t hits = 0;
    int64_t misses = 0;
  };
  Figures figures() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const TokenConstraint> constraint;
  };
  void trim();

  const int64_t most_bytes_, most_entries_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
  Figures figures_;
};

}  // namespace headgate
