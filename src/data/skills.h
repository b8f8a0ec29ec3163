// Skill families with checkable answers: an endless, reproducible source of training samples and of
// test cases.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/conversation.h"
#include "data/word_pools.h"

namespace headgate {

// How an answer is compared with the expected one; see eval/skills.h for the rules.
enum class AnswerCheck : uint8_t {
  kExact,       // the whole answer
  kLastNumber,  // the last number in it
  kEnding,      // what stands after the last " is "
  kContains,    // a whole word of it
  kToolCall,    // one tool call: name and arguments as JSON values
  kJson,        // a JSON value
  kNone         // no score: stories
};

struct SkillSample {
  std::string answer;
  AnswerCheck check = AnswerCheck::kExact;
  Conversation conversation;   // the last turn is the answer
  std::string key;             // what the prompt asks; two samples with one key count as the same
  std::string thinking_reply;  // the answer behind reasoning, where it is another one
};

struct SkillOptions {
  uint64_t seed = 0;
  SkillSplit split = SkillSplit::kTraining;
  int64_t needle_words = 260;  // longest haystack
  bool fixed_needle = false;   // every haystack is that long
  double thinking = -1;        // share of samples with reasoning; below 0: the family's own
};

// One family: "arith", "wordprob", "vartrack", "track", "listop", "needle", "recall", "jslookup",
// "extract", "reading", "tool", "facts", "chat", "story".
struct SkillFamily {
  std::string_view name;
  std::string_view title;  // "arithmetic"
  double share;            // of the tokens in the default mix; 0: only where asked for
  double thinking;         // default share of samples with reasoning
  SkillSample (*make)(SkillContext& context, const SkillOptions& options);
};
const std::vector<SkillFamily>& skill_families();
// Throws kInvalidArgument, naming the families there are.
const SkillFamily& find_skill_family(std::string_view name);

// Sample `index` of a family: a pure function of the arguments and the passages. Samples of
// kTraining and of the other splits never share a key: keys are divided by their hash.
SkillSample make_skill_sample(const SkillFamily& family, const SkillOptions& options,
                              const Passages& passages, uint64_t index);
// True for keys that belong to the evaluation.
bool is_held_out_key(std::string_view key);

}  // namespace headgate
