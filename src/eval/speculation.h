// Drafting on generated tasks: what is kept, what it gains, and that it changes no answer.
#pragma once

#include <string>
#include <vector>

#include "eval/skills.h"

namespace headgate {

// One family of tasks, every prompt answered plainly and with drafts.
struct SpeculationResult {
  std::string family;
  int64_t cases = 0, tokens = 0;  // of the answers
  int64_t same = 0;               // answers that are token for token plain decoding's
  int64_t right_plain = 0, right_drafts = 0;
  double plain_seconds = 0, drafts_seconds = 0;  // of decoding
  double module_seconds = 0;                     // of drafts_seconds, in the drafting module
  int64_t steps = 0, looked_up = 0;
  std::vector<int64_t> drafted, accepted;  // by place in the chain

  double speed_plain() const {
    return plain_seconds > 0 ? static_cast<double>(tokens) / plain_seconds : 0;
  }
  double speed_drafts() const {
    return drafts_seconds > 0 ? static_cast<double>(tokens) / drafts_seconds : 0;
  }
  double tokens_per_step() const {
    return steps > 0 ? static_cast<double>(tokens) / static_cast<double>(steps) : 0;
  }
};

// `plain` drafts nothing, `drafts` does; both of one model. They answer in turn, each going first
// every other time. Throws kCancelled.
SpeculationResult test_speculation(Session& plain, Session& drafts, const Tokenizer& tokenizer,
                                   const ChatTemplate& chat_template,
                                   const std::vector<int32_t>& stop_tokens,
                                   const SkillFamily& family, const SkillTestOptions& options);

}  // namespace headgate
