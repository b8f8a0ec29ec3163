// An index of the text's runs of three tokens.
#include "engine/lookup_drafter.h"

#include <algorithm>

#include "base/random.h"

namespace headgate {

uint64_t LookupDrafter::key(const int32_t* run) {
  uint64_t hash = 0;
  for (int64_t i = 0; i < kRun; ++i) hash = mix_bits(hash ^ static_cast<uint32_t>(run[i]));
  return hash;
}

void LookupDrafter::update(std::span<const int32_t> text) {
  const auto same = std::mismatch(text_.begin(), text_.end(), text.begin(), text.end()).first;
  const auto kept = same - text_.begin();
  // Entries that point behind the cut are told by comparing tokens, so none needs to be removed.
  text_.resize(static_cast<size_t>(kept));
  text_.insert(text_.end(), text.begin() + kept, text.end());
  for (int64_t end = kept + 1; end <= static_cast<int64_t>(text_.size()); ++end) index_run(end);
}

void LookupDrafter::append(int32_t token) {
  text_.push_back(token);
  index_run(static_cast<int64_t>(text_.size()));
}

void LookupDrafter::index_run(int64_t end) {
  if (end < kRun) return;
  Ends& ends = ends_[key(text_.data() + end - kRun)];
  if (ends.latest < end) ends.before = ends.latest;
  ends.latest = end;
}

std::vector<int32_t> LookupDrafter::draft(int64_t count) const {
  const auto size = static_cast<int64_t>(text_.size());
  if (size < kRun || count <= 0) return {};
  const int32_t* run = text_.data() + size - kRun;
  const auto found = ends_.find(key(run));
  if (found == ends_.end()) return {};
  int64_t end = found->second.latest;
  if (end >= size) end = found->second.before;
  if (end < kRun || end >= size || !std::equal(run, run + kRun, text_.data() + end - kRun))
    return {};
  const auto first = text_.begin() + end;
  return {first, first + std::min(count, size - end)};
}

}  // namespace headgate
