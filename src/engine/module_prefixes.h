// What the drafting module knew at the places where the trunk's states are kept.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/prefix_cache.h"
#include "engine/module_drafter.h"

namespace headgate {

// Without it a text that starts from a cached prefix would be drafted as if it began there. Pairs
// lie in a tree of their own (pair i ends with token i + 1, so it serves every text with these
// tokens), and the hidden state after each kept place beside it. What is lost costs drafts, never a
// token. Thread rule: the engine's.
class ModulePrefixes {
 public:
  explicit ModulePrefixes(DraftModule& module);

  // After the tokens of `text`, all of whose hidden states `drafter` has been given. One that has
  // rested since, or began later, keeps nothing.
  void keep(const std::string& salt, std::span<const int32_t> text, ModuleDrafter& drafter);
  // Puts `drafter`, a fresh one, after the first `position` tokens of `text` (which is longer), as
  // far as that is known here.
  void find(const std::string& salt, std::span<const int32_t> text, int64_t position,
            ModuleDrafter& drafter);

  bool evict_one() { return pairs_.evict_one(); }
  void clear();

 private:
  struct Hidden {
    uint64_t key;
    std::vector<float> state;
  };
  using Place = std::list<Hidden>::iterator;

  PrefixCache pairs_;
  std::list<Hidden> hidden_;  // latest first
  std::unordered_map<uint64_t, Place> by_text_;
};

}  // namespace headgate
