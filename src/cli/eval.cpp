// headgate eval skills: exact match on generated tasks that training never sees.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/assistant.h"
#include "cli/commands.h"
#include "cli/eval_speculation.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "eval/skills.h"

namespace headgate {
namespace {

struct Options {
  std::string task;
  ModelOptions model;
  std::string split = "words";
  std::vector<std::string> families;
  std::vector<int64_t> needles = {512, 1024, 4096};
  std::string passages;
  std::optional<std::string> output;
  int64_t cases = 200;
  int64_t max_tokens = 160;
  uint64_t seed = 20260101;
  bool json = false;
  bool show_wrong = false;
};

SkillSplit split_of(const std::string& name) {
  if (name == "fresh") return SkillSplit::kFreshPrompts;
  return name == "words" ? SkillSplit::kNewWords : SkillSplit::kNewTemplates;
}

struct Row {
  std::string title;
  SkillResult result;
};

// Share of the drafts at each place of a chain that the model kept.
std::vector<double> kept_drafts(const SkillResult& r) {
  std::vector<double> out;
  for (size_t i = 0; i < r.drafted.size() && i < r.accepted.size(); ++i)
    if (r.drafted[i] > 0)
      out.push_back(static_cast<double>(r.accepted[i]) / static_cast<double>(r.drafted[i]));
  return out;
}

json::object row_json(const Row& row) {
  const SkillResult& r = row.result;
  json::array wrong, kept;
  for (const double share : kept_drafts(r)) kept.emplace_back(share);
  for (const WrongAnswer& w : r.wrong)
    wrong.push_back(
        json::object{{"prompt", w.prompt}, {"expected", w.expected}, {"found", w.found}});
  return {{"title", row.title},
          {"family", r.family},
          {"thinking", r.thinking},
          {"cases", r.cases},
          {"right", r.right},
          {"accuracy", r.accuracy()},
          {"uncertainty", r.uncertainty()},
          {"prompt_tokens", r.prompt_tokens},
          {"answer_tokens", r.answer_tokens},
          {"prefill_seconds", r.prefill_seconds},
          {"decode_seconds", r.decode_seconds},
          {"drafts_kept", std::move(kept)},
          {"wrong", std::move(wrong)}};
}

std::string table_text(const std::vector<Row>& rows) {
  TextTable table({0});
  const bool drafts = std::any_of(rows.begin(), rows.end(),
                                  [](const Row& row) { return !kept_drafts(row.result).empty(); });
  std::vector<std::string> head = {"skill", "accuracy", "±", "right", "cases", "tok/s"};
  if (drafts) head.push_back("drafts kept");
  table.row(std::move(head));
  for (const Row& row : rows) {
    const SkillResult& r = row.result;
    const double speed =
        r.decode_seconds > 0 ? static_cast<double>(r.answer_tokens) / r.decode_seconds : 0;
    std::vector<std::string> cells = {row.title,
                                      fmt::format("{:.3f}", r.accuracy()),
                                      fmt::format("{:.3f}", r.uncertainty()),
                                      std::to_string(r.right),
                                      std::to_string(r.cases),
                                      fmt::format("{:.0f}", speed)};
    if (drafts) {
      std::string kept;
      for (const double share : kept_drafts(r))
        kept += fmt::format("{}{:.2f}", kept.empty() ? "" : " ", share);
      cells.push_back(std::move(kept));
    }
    table.row(std::move(cells));
  }
  return table.text();
}

// The tests in their order: every family without reasoning, those with steps of their own with it
// too, and what is found in long texts at each length.
class SkillTest {
 public:
  SkillTest(const Options& o, const Assistant& assistant)
      : o_(o),
        assistant_(assistant),
        session_(assistant.make_session(o.model)),
        passages_(o.passages.empty() ? std::string() : read_text_file(o.passages)) {
    options_.skills.seed = o.seed;
    options_.skills.split = split_of(o.split);
    options_.cases = o.cases;
    options_.max_tokens = o.max_tokens;
    options_.passages = &passages_;
    options_.cancel = &InterruptScope::flag();
  }

  std::vector<Row> run() {
    for (const SkillFamily& family : skill_families()) {
      const bool scored = family.name != "story" && family.name != "chat" && family.share > 0;
      if (o_.families.empty() ? !scored : !is_named(family)) continue;
      if (family.name == "needle" || family.name == "recall") {
        for (int64_t words : o_.needles) needle(family, words);
        continue;
      }
      test(family, false, std::string(family.title));
      if (family.thinking >= 0.5) test(family, true, std::string(family.title) + ", thinking");
    }
    return std::move(rows_);
  }

 private:
  bool is_named(const SkillFamily& family) const {
    for (const std::string& name : o_.families)
      if (&find_skill_family(name) == &family) return true;
    return false;
  }
  void needle(const SkillFamily& family, int64_t tokens) {
    // A made-up haystack has about four tokens to three words.
    options_.skills.needle_words = std::max<int64_t>(4, tokens * 3 / 4);
    options_.skills.fixed_needle = true;
    test(family, false, fmt::format("{}, about {} tokens", family.title, tokens));
  }
  void test(const SkillFamily& family, bool thinking, const std::string& title) {
    ProgressBar bar(title, ProgressUnit::kSteps);
    options_.progress = [&](int64_t done) { bar.update(done, o_.cases); };
    rows_.push_back({title, test_skill(*session_, assistant_.tokenizer, *assistant_.chat_template,
                                       assistant_.stop_tokens, family, thinking, options_)});
  }

  const Options& o_;
  const Assistant& assistant_;
  std::unique_ptr<Session> session_;
  Passages passages_;
  SkillTestOptions options_;
  std::vector<Row> rows_;
};

int run(const Options& o) {
  for (const std::string& name : o.families) find_skill_family(name);
  if (o.task == "speculation") {
    SpeculationCommand command;
    command.model = o.model;
    command.families = o.families;
    command.output = o.output.value_or("");
    command.json = o.json;
    command.tasks.skills.seed = o.seed;
    command.tasks.skills.split = split_of(o.split);
    command.tasks.cases = o.cases;
    command.tasks.max_tokens = o.max_tokens;
    return run_eval_speculation(command);
  }
  const InterruptScope interrupts;
  const Assistant assistant = load_assistant(o.model);
  if (!assistant.chat_template)
    fail(ErrorCode::kUnsupported, "{}: the model has no chat template", assistant.loaded.name());
  const std::vector<Row> rows = SkillTest(o, assistant).run();
  json::array results;
  for (const Row& row : rows) results.push_back(row_json(row));
  const std::string text = dump_json_python(json::object{{"model", assistant.loaded.name()},
                                                         {"split", o.split},
                                                         {"seed", o.seed},
                                                         {"results", std::move(results)}},
                                            2) +
                           "\n";
  if (o.output) write_text_file(*o.output, text);
  write_stdout(o.json ? text : table_text(rows));
  if (o.show_wrong && !o.json)
    for (const Row& row : rows)
      for (const WrongAnswer& w : row.result.wrong)
        print("\n{}: {}\n  expected {}\n  found    {}\n", row.title, printable(w.prompt),
              printable(w.expected), printable(w.found));
  return 0;
}

}  // namespace

void add_eval(CommandLine& line) {
  auto o = std::make_shared<Options>();
  Command& command = line.add("eval", "Test a model on generated tasks with checkable answers");
  add_model_options(command, o->model);
  add_draft_option(command, o->model);
  o->model.drafts = "off";
  command.group("Tasks")
      .choice("task", o->task, {"skills", "speculation"},
              "skills: the answers; speculation: what drafting does for their speed")
      .required()
      .choice(
          "--split", o->split, {"fresh", "words", "templates"},
          "fresh: prompts that training never sees; words: with names and things it never draws "
          "either; templates: and in phrasings it never uses")
      .option("--family", o->families, "A family (arith, tool, ...); repeatable; all without it")
      .option("--cases", o->cases, "Prompts of each family")
      .option("--needles", o->needles, "Tokens of the texts that needles are in")
      .option("--passages", o->passages, "A text for them; made-up sentences without it")
      .takes("FILE")
      .option("--max-tokens", o->max_tokens, "Longest answer")
      .option("--seed", o->seed, "Other prompts")
      .group("Output")
      .flag("--json", o->json, "Report as JSON")
      .flag("--wrong", o->show_wrong, "Show wrong answers")
      .option("-o,--output", o->output, "Write the JSON report to a file too")
      .takes("FILE")
      .example("headgate eval skills -m model --cases 200 -o skills.json",
               "the table of a model card")
      .example("headgate eval speculation --cases 20",
               "each task with and without drafts: what is kept, and how much faster it is")
      .action([o] { return run(*o); });
}

}  // namespace headgate
