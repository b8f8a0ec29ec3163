// Pairs in a tree, hidden states by the hash of their texts.
#include "engine/module_prefixes.h"

#include <functional>

#include "base/random.h"

namespace headgate {
namespace {

// 8 MiB of hidden states of 2,048 numbers.
constexpr size_t kMostHidden = 1024;

// Two texts with one hash would cost a few drafts.
uint64_t key_of(const std::string& salt, std::span<const int32_t> text) {
  uint64_t key = std::hash<std::string>()(salt);
  for (const int32_t token : text) key = mix_bits(key ^ static_cast<uint32_t>(token));
  return key;
}

// Pairs follow from the first token too, which is in none of them.
std::string salt_of_pairs(const std::string& salt, int32_t first) {
  return std::to_string(first) + ' ' + salt;
}

}  // namespace

ModulePrefixes::ModulePrefixes(DraftModule& module) : pairs_(module.pool().shape()) {}

void ModulePrefixes::clear() {
  pairs_.clear();
  hidden_.clear();
  by_text_.clear();
}

void ModulePrefixes::keep(const std::string& salt, std::span<const int32_t> text,
                          ModuleDrafter& drafter) {
  const auto position = static_cast<int64_t>(text.size());
  // One that began in the middle of the text, or rested since, has fewer pairs than that.
  if (position < 2 || !drafter.covers(position) || drafter.last_hidden().empty()) return;
  drafter.catch_up(1);
  if (!drafter.covers(position)) return;
  const std::span<const int32_t> tokens = text.subspan(1);
  const std::string tree = salt_of_pairs(salt, text.front());
  if (!pairs_.touch(tree, tokens)) {
    if (std::optional<Snapshot> snapshot = drafter.snapshot_at(position - 1))
      pairs_.insert(tree, tokens, std::move(*snapshot));
  }
  const uint64_t key = key_of(salt, text);
  if (const auto known = by_text_.find(key); known != by_text_.end()) hidden_.erase(known->second);
  const std::span<const float> last = drafter.last_hidden();
  hidden_.push_front({key, {last.begin(), last.end()}});
  by_text_[key] = hidden_.begin();
  if (hidden_.size() <= kMostHidden) return;
  by_text_.erase(hidden_.back().key);
  hidden_.pop_back();
}

void ModulePrefixes::find(const std::string& salt, std::span<const int32_t> text, int64_t position,
                          ModuleDrafter& drafter) {
  if (position < 2) return;
  const std::span<const int32_t> way = text.first(static_cast<size_t>(position));
  const PrefixCache::Match match =
      pairs_.find(salt_of_pairs(salt, text.front()), way.subspan(1), position - 1);
  if (!match.snapshot || match.position < position - 1) return;
  const auto hidden = by_text_.find(key_of(salt, way));
  const std::span<const float> last = hidden != by_text_.end()
                                          ? std::span<const float>(hidden->second->state)
                                          : std::span<const float>();
  if (drafter.adopt(*match.snapshot, position, last))
    drafter.add_tokens(text.subspan(static_cast<size_t>(position), 1));
}

}  // namespace headgate
