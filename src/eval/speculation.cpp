// Every prompt twice, in turn.
#include "eval/speculation.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {
namespace {

void add_counts(const std::vector<int64_t>& counts, std::vector<int64_t>& sums) {
  sums.resize(std::max(sums.size(), counts.size()), 0);
  for (size_t i = 0; i < counts.size(); ++i) sums[i] += counts[i];
}

}  // namespace

SpeculationResult test_speculation(Session& plain, Session& drafts, const Tokenizer& tokenizer,
                                   const ChatTemplate& chat_template,
                                   const std::vector<int32_t>& stop_tokens,
                                   const SkillFamily& family, const SkillTestOptions& options) {
  static const Passages kNoPassages;
  SkillOptions skills = options.skills;
  skills.thinking = 0;
  SpeculationResult result;
  result.family = std::string(family.name);
  for (int64_t i = 0; i < options.cases; ++i) {
    const SkillSample sample =
        make_skill_sample(family, skills, options.passages ? *options.passages : kNoPassages,
                          static_cast<uint64_t>(i));
    GenerationRequest request;
    request.prompt =
        skill_prompt(sample.conversation, /*thinking=*/false, tokenizer, chat_template);
    request.sampling.temperature = 0;
    request.max_tokens = options.max_tokens;
    request.stop_tokens = stop_tokens;
    request.cancel = options.cancel;
    GenerationResult by_plain, by_drafts;
    for (int64_t turn = 0; turn < 2; ++turn) {
      const bool first_plain = i % 2 == 0;
      GenerationResult& answer = (turn == 0) == first_plain ? by_plain : by_drafts;
      answer = (&answer == &by_plain ? plain : drafts).generate(request);
      if (answer.reason == FinishReason::kCancelled)
        fail(ErrorCode::kCancelled, "speculation: stopped in {}", family.name);
    }
    ++result.cases;
    result.tokens += static_cast<int64_t>(by_plain.tokens.size());
    result.same += by_plain.tokens == by_drafts.tokens ? 1 : 0;
    const auto right = [&](const GenerationResult& answer) {
      return is_right_answer(sample.check, sample.answer, tokenizer.decode(answer.tokens)) ? 1 : 0;
    };
    result.right_plain += right(by_plain);
    result.right_drafts += right(by_drafts);
    result.plain_seconds += by_plain.decode_seconds;
    result.drafts_seconds += by_drafts.decode_seconds;
    result.module_seconds += by_drafts.drafts.draft_seconds;
    result.steps += by_drafts.drafts.steps;
    result.looked_up += by_drafts.drafts.looked_up;
    add_counts(by_drafts.drafts.drafted, result.drafted);
    add_counts(by_drafts.drafts.accepted, result.accepted);
    if (options.progress) options.progress(i + 1);
  }
  return result;
}

}  // namespace headgate
