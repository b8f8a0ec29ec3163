// The table of families, and the drawing of a sample: words, prompt, reasoning, split.
#include "data/skills.h"

#include <algorithm>

#include "base/error.h"
#include "data/skill_makers.h"

namespace headgate {
namespace {

constexpr uint64_t kHeldOutShare = 16;  // one key in so many belongs to the evaluation
constexpr int kAttempts = 4096;

std::string_view short_thought(Dice& dice, std::string_view family) {
  struct Thoughts {
    std::string_view family, first, second;
  };
  static constexpr Thoughts kThoughts[] = {
      {"needle", "I look for the sentence that names it.", "I search the text."},
      {"jslookup", "I look up the key.", "I find the key in the JSON."},
      {"extract", "I find each field in the text.", "I read the text and fill in the fields."},
      {"reading", "The answer is in the text.", "I read the text."},
      {"listop", "I go through the list.", "I look at the items."},
      {"tool", "I can use a tool for this.", "This needs a function call."},
      {"", "This is a simple question.", "I know what to say."}};
  for (const Thoughts& thoughts : kThoughts)
    if (thoughts.family == family || thoughts.family.empty())
      return dice.chance(0.5) ? thoughts.first : thoughts.second;
  return {};
}

// Reasoning on or off, and now and then a system message.
void finish_sample(SkillSample& sample, const SkillFamily& family, const SkillOptions& options,
                   Dice& dice) {
  static constexpr std::string_view kSystems[] = {
      "You are a helpful assistant.", "Answer briefly.", "You are a friendly assistant.",
      "Be kind and clear.", "You are a helpful AI assistant. Answer in English."};
  Conversation& conversation = sample.conversation;
  const double share = options.thinking < 0 ? family.thinking : options.thinking;
  conversation.thinking = dice.chance(share);
  Turn& last = conversation.turns.back();
  if (conversation.thinking) {
    for (size_t i = 1; i < conversation.turns.size(); ++i)
      if (conversation.turns[i].role == "assistant" && conversation.turns[i].reasoning.empty())
        conversation.turns[i].reasoning = short_thought(dice, family.name);
    if (!sample.thinking_reply.empty()) last.content = sample.thinking_reply;
  } else {
    for (Turn& turn : conversation.turns) turn.reasoning.clear();
  }
  if (conversation.tools.empty() && dice.chance(0.06))
    conversation.turns.insert(conversation.turns.begin(),
                              Turn{"system", std::string(dice.pick(kSystems)), {}, {}, true});
}

}  // namespace

SkillSample question_sample(std::string user, std::string answer, std::string reply,
                            AnswerCheck check, std::string steps, std::string thinking_reply) {
  SkillSample out;
  out.answer = std::move(answer);
  out.check = check;
  out.key = user;
  out.thinking_reply = std::move(thinking_reply);
  out.conversation.turns.push_back(Turn{"user", std::move(user), {}, {}, true});
  out.conversation.turns.push_back(Turn{"assistant", std::move(reply), std::move(steps), {}, true});
  return out;
}

const std::vector<SkillFamily>& skill_families() {
  static const std::vector<SkillFamily> families = {
      {"arith", "arithmetic", 11, 0.5, make_arithmetic},
      {"wordprob", "word problems", 8, 0.5, make_word_problem},
      {"vartrack", "variable chains", 5, 0.5, make_variables},
      {"track", "state tracking", 9, 0.5, make_tracking},
      {"listop", "list operations", 8, 0.05, make_list},
      {"needle", "needle in text", 10, 0.05, make_needle},
      {"recall", "recall of many facts in text", 0, 0.0, make_recall},
      {"jslookup", "JSON field", 7, 0.05, make_json_field},
      {"extract", "extraction to JSON", 10, 0.05, make_extraction},
      {"reading", "reading a note", 7, 0.05, make_reading},
      {"tool", "tool calls", 13, 0.05, make_tool_call},
      {"facts", "facts and small language tasks", 5, 0.05, make_fact},
      {"chat", "small talk", 4, 0.05, make_chat},
      {"story", "stories", 3, 0.0, make_story}};
  return families;
}

const SkillFamily& find_skill_family(std::string_view name) {
  std::string names;
  for (const SkillFamily& family : skill_families()) {
    if (family.name == name) return family;
    names += (names.empty() ? "" : ", ") + std::string(family.name);
  }
  fail(ErrorCode::kInvalidArgument, "skill family {}: expected one of {}", name, names);
}

bool is_held_out_key(std::string_view key) { return mix_bits(text_hash(key)) % kHeldOutShare == 0; }

SkillSample make_skill_sample(const SkillFamily& family, const SkillOptions& options,
                              const Passages& passages, uint64_t index) {
  const bool evaluation = options.split != SkillSplit::kTraining;
  // The evaluation throws other dice than training; its splits share theirs.
  const uint64_t seed = options.seed * 2 + (evaluation ? 1 : 0);
  Dice dice(seed, text_hash(family.name), index);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    SkillContext context(dice, options.split, passages);
    context.set_wild(family.name != "story" && family.name != "facts" && dice.chance(0.5));
    SkillSample sample = family.make(context, options);
    if (is_held_out_key(sample.key) != evaluation) continue;
    finish_sample(sample, family, options, dice);
    return sample;
  }
  fail(ErrorCode::kInternal, "skill {}: no sample of the split in {} attempts", family.name,
       kAttempts);
}

}  // namespace headgate
