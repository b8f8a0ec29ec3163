// The table of what drafting does to each kind of task.
#include "cli/eval_speculation.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "eval/speculation.h"

namespace headgate {
namespace {

json::array counts_json(const std::vector<int64_t>& counts) {
  json::array out;
  for (const int64_t count : counts) out.emplace_back(count);
  return out;
}

json::object row_json(const SpeculationResult& r) {
  return {{"family", r.family},
          {"cases", r.cases},
          {"tokens", r.tokens},
          {"same_answers", r.same},
          {"right_plain", r.right_plain},
          {"right_drafts", r.right_drafts},
          {"plain_seconds", r.plain_seconds},
          {"drafts_seconds", r.drafts_seconds},
          {"module_seconds", r.module_seconds},
          {"steps", r.steps},
          {"tokens_per_step", r.tokens_per_step()},
          {"found_in_text", r.looked_up},
          {"drafted", counts_json(r.drafted)},
          {"accepted", counts_json(r.accepted)}};
}

std::string kept_text(const SpeculationResult& r) {
  std::string out;
  for (size_t i = 0; i < r.drafted.size() && r.drafted[i] > 0; ++i)
    out += fmt::format("{}{:.2f}", out.empty() ? "" : " ",
                       static_cast<double>(r.accepted[i]) / static_cast<double>(r.drafted[i]));
  return out;
}

std::string table_text(const std::vector<SpeculationResult>& rows) {
  TextTable table({0});
  table.row({"task", "tokens", "same", "right", "plain tok/s", "drafts tok/s", "gain",
             "tokens/step", "kept by place"});
  for (const SpeculationResult& r : rows) {
    const double gain = r.drafts_seconds > 0 ? r.plain_seconds / r.drafts_seconds : 0;
    table.row({std::string(find_skill_family(r.family).title), std::to_string(r.tokens),
               fmt::format("{} of {}", r.same, r.cases),
               fmt::format("{} / {}", r.right_plain, r.right_drafts),
               fmt::format("{:.0f}", r.speed_plain()), fmt::format("{:.0f}", r.speed_drafts()),
               fmt::format("{:.2f}", gain), fmt::format("{:.2f}", r.tokens_per_step()),
               kept_text(r)});
  }
  return table.text();
}

}  // namespace

int run_eval_speculation(const SpeculationCommand& command) {
  const InterruptScope interrupts;
  ModelOptions model = command.model;
  if (model.drafts == "off") model.drafts = "auto";
  const Assistant assistant = load_assistant(model);
  if (!assistant.chat_template)
    fail(ErrorCode::kUnsupported, "{}: the model has no chat template", assistant.loaded.name());
  const std::unique_ptr<Session> drafts = assistant.make_session(model);
  model.drafts = "off";
  const std::unique_ptr<Session> plain = assistant.make_session(model);
  SkillTestOptions tasks = command.tasks;
  tasks.cancel = &InterruptScope::flag();
  std::vector<SpeculationResult> rows;
  for (const SkillFamily& family : skill_families()) {
    const auto named = [&](const std::string& name) { return &find_skill_family(name) == &family; };
    const auto& wanted = command.families;
    if (wanted.empty() ? family.share == 0 : std::none_of(wanted.begin(), wanted.end(), named))
      continue;
    ProgressBar bar(std::string(family.title), ProgressUnit::kSteps);
    tasks.progress = [&](int64_t done) { bar.update(done, tasks.cases); };
    rows.push_back(test_speculation(*plain, *drafts, assistant.tokenizer, *assistant.chat_template,
                                    assistant.stop_tokens, family, tasks));
  }
  json::array results;
  for (const SpeculationResult& row : rows) results.push_back(row_json(row));
  const std::string text =
      dump_json_python(
          json::object{{"model", assistant.loaded.name()}, {"results", std::move(results)}}, 2) +
      "\n";
  if (!command.output.empty()) write_text_file(command.output, text);
  write_stdout(command.json ? text : table_text(rows));
  return 0;
}

}  // namespace headgate
