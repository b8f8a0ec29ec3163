// One Knuth-Morris-Pratt automaton for each stop string.
#include "chat/stop_strings.h"

#include <algorithm>

namespace headgate {

StopStrings::StopStrings(std::vector<std::string> patterns) {
  for (std::string& text : patterns) {
    Pattern pattern;
    pattern.fallback.assign(text.size() + 1, 0);
    for (size_t i = 1; i < text.size(); ++i) {
      size_t k = pattern.fallback[i];
      while (k > 0 && text[k] != text[i]) k = pattern.fallback[k];
      pattern.fallback[i + 1] = text[k] == text[i] ? k + 1 : 0;
    }
    pattern.text = std::move(text);
    patterns_.push_back(std::move(pattern));
  }
}

void StopStrings::advance(Pattern& pattern, char c) const {
  size_t k = pattern.matched;
  while (k > 0 && pattern.text[k] != c) k = pattern.fallback[k];
  pattern.matched = pattern.text[k] == c ? k + 1 : 0;
}

StopStrings::Piece StopStrings::push(std::string_view piece) {
  Piece out;
  if (stopped_) return out;
  for (const char c : piece) {
    held_ += c;
    size_t longest = 0;
    for (size_t i = 0; i < patterns_.size(); ++i) {
      if (patterns_[i].text.empty()) continue;
      advance(patterns_[i], c);
      if (patterns_[i].matched == patterns_[i].text.size() && patterns_[i].matched > longest) {
        longest = patterns_[i].matched;
        stopped_ = i;
      }
    }
    if (stopped_) {
      held_.resize(held_.size() - longest);
      out.text = std::move(held_);
      out.stopped = stopped_;
      held_.clear();
      return out;
    }
  }
  size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.matched);
  out.text = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopStrings::finish() {
  std::string rest = std::move(held_);
  held_.clear();
  return rest;
}

}  // namespace headgate
