// Holds back the incomplete character at the end of what has been seen.
#include "text/detokenizer.h"

#include "base/utf8.h"

namespace headgate {

std::string IncrementalDetokenizer::push(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  pending_ += tokenizer_->token_bytes(id);
  const size_t ready = pending_.size() - static_cast<size_t>(incomplete_utf8_suffix(pending_));
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, ready));
  pending_.erase(0, ready);
  return text;
}

std::string IncrementalDetokenizer::flush() {
  std::string text = replace_invalid_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace headgate
