// Skill families asked of a model: greedy answers, exact match.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "data/skills.h"
#include "engine/session.h"
#include "text/tokenizer.h"

namespace headgate {

struct SkillTestOptions {
  SkillOptions skills;  // split, seed, length of the haystacks
  int64_t cases = 200;
  int64_t max_tokens = 160;  // of an answer, reasoning included
  int64_t examples = 3;      // wrong answers to keep
  const Passages* passages = nullptr;
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(int64_t done)> progress;
};

struct WrongAnswer {
  std::string prompt, expected, found;
};

struct SkillResult {
  std::string family;
  bool thinking = false;
  int64_t cases = 0, right = 0;
  int64_t prompt_tokens = 0, answer_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
  std::vector<int64_t> drafted, accepted;  // by place in the chain, where the session drafts
  std::vector<WrongAnswer> wrong;          // the first ones

  double accuracy() const {
    return cases == 0 ? 0 : static_cast<double>(right) / static_cast<double>(cases);
  }
  // Half width of the 95 % interval (Wilson 1927) around the share.
  double uncertainty() const;
};

// The conversation's prompt: all but its last turn, as the template renders it.
std::vector<int32_t> skill_prompt(const Conversation& conversation, bool thinking,
                                  const Tokenizer& tokenizer, const ChatTemplate& chat_template);

// Asks `cases` prompts of a family, the same for every model of one seed and split, with reasoning
// or without. `chat_template` renders them; `stop_tokens` end an answer. Throws kCancelled.
SkillResult test_skill(Session& session, const Tokenizer& tokenizer,
                       const ChatTemplate& chat_template, const std::vector<int32_t>& stop_tokens,
                       const SkillFamily& family, bool thinking, const SkillTestOptions& options);

// Whether `text`, an answer with its reasoning, gives `expected` as the family wants it.
// kExact: the same text but for white space around it. kLastNumber: the last run of digits (with a
// minus before it) in it. kEnding: what stands behind the last " is ", without the full stop.
// kContains: as a whole word. kJson: equal JSON values. kToolCall: exactly one call in the Hermes
// format with equal name and arguments. kNone: always true.
bool is_right_answer(AnswerCheck check, std::string_view expected, std::string_view text);

}  // namespace headgate
