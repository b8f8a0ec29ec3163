// How an answer ended, and what drafting did for it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace headgate {

enum class FinishReason {
  kStop,       // a stop token, a constraint that allows nothing more, or the receiver's wish
  kLength,     // max_tokens
  kContext,    // the context is full
  kCancelled,  // by its owner, or by an engine that shuts down
  kDeadline,   // its time was over
  kFailed      // by an error
};
// "stop", "length", "context", "cancelled", "deadline", "error".
std::string_view finish_reason_name(FinishReason reason);

// What drafting did for one answer.
struct DraftStats {
  std::vector<int64_t> drafted,
      accepted;              // by place in the chain: the first draft, the second, ...
  int64_t looked_up = 0;     // of the drafted, found in the text instead of the module
  int64_t steps = 0;         // of the whole model while decoding
  double draft_seconds = 0;  // of decode_seconds, spent in the module

  int64_t total_drafted() const;
  int64_t total_accepted() const;
};

}  // namespace headgate
