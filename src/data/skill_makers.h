// The functions behind the table of skill families, and what they share.
#pragma once

#include <string>

#include "data/skills.h"

namespace headgate {

// A question with its answer. `steps` is the reasoning; `thinking_reply` the answer behind it (the
// same as `reply` when empty).
SkillSample question_sample(std::string user, std::string answer, std::string reply,
                            AnswerCheck check, std::string steps = {},
                            std::string thinking_reply = {});

SkillSample make_arithmetic(SkillContext& c, const SkillOptions& options);
SkillSample make_word_problem(SkillContext& c, const SkillOptions& options);
SkillSample make_variables(SkillContext& c, const SkillOptions& options);
SkillSample make_tracking(SkillContext& c, const SkillOptions& options);
SkillSample make_list(SkillContext& c, const SkillOptions& options);
SkillSample make_needle(SkillContext& c, const SkillOptions& options);
SkillSample make_recall(SkillContext& c, const SkillOptions& options);
SkillSample make_json_field(SkillContext& c, const SkillOptions& options);
SkillSample make_extraction(SkillContext& c, const SkillOptions& options);
SkillSample make_reading(SkillContext& c, const SkillOptions& options);
SkillSample make_tool_call(SkillContext& c, const SkillOptions& options);
SkillSample make_fact(SkillContext& c, const SkillOptions& options);
SkillSample make_chat(SkillContext& c, const SkillOptions& options);
SkillSample make_story(SkillContext& c, const SkillOptions& options);

}  // namespace headgate
