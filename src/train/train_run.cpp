// The loop of a training run.
#include "train/train_run.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "comm/communicator.h"
#include "formats/checkpoint.h"
#include "train/recipe_data.h"
#include "train/trainer.h"

namespace headgate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorCode::kIo, "{}: {}", folder, error.message());
}

std::string checkpoints_of(const TrainRunOptions& options) {
  return options.output + "/checkpoints";
}

bool has_checkpoints(const TrainRunOptions& options) {
  std::error_code error;
  const std::filesystem::directory_iterator folder(checkpoints_of(options), error);
  if (error) return false;
  for (const auto& entry : folder)
    if (entry.path().filename().string().rfind("step-", 0) == 0) return true;
  return false;
}

// What a checkpoint keeps beside weights and moments.
struct RunState {
  int64_t tokens = 0;
  double seconds = 0;

  std::string text() const {
    return dump_json_python(json::object{{"tokens", tokens}, {"seconds", seconds}});
  }
  static RunState parse(const std::string& text) {
    const json::value parsed = parse_json(text, "data state of the checkpoint");
    RunState state;
    if (const json::object* object = parsed.if_object()) {
      if (const json::value* value = object->if_contains("tokens"); value && value->is_number())
        state.tokens = value->to_number<int64_t>();
      if (const json::value* value = object->if_contains("seconds"); value && value->is_number())
        state.seconds = value->to_number<double>();
    }
    return state;
  }
};

json::object generation_config(const Tokenizer& tokenizer) {
  json::array ends;
  for (int32_t id : tokenizer.eos_ids()) ends.emplace_back(id);
  if (const auto end = tokenizer.find("<|endoftext|>"); end && !tokenizer.is_eos(*end))
    ends.emplace_back(*end);
  json::object out = {{"do_sample", true},
                      {"eos_token_id", std::move(ends)},
                      {"temperature", 0.3},
                      {"top_k", 20},
                      {"top_p", 0.8}};
  if (const auto pad = tokenizer.pad_id()) {
    out["pad_token_id"] = *pad;
    out["bos_token_id"] = *pad;
  }
  return out;
}

std::string export_model(const Trainer& trainer, const Recipe& recipe, const Tokenizer& tokenizer,
                         const TrainRunOptions& options) {
  const std::string folder = options.output + "/model";
  make_folder(folder);
  trainer.export_weights(folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
    if (file_exists(recipe.tokenizer + "/" + name))
      write_text_file(folder + "/" + name, read_text_file(recipe.tokenizer + "/" + name));
  write_text_file(folder + "/generation_config.json",
                  dump_json_python(generation_config(tokenizer), 2) + "\n");
  if (trainer.config().lora.rank > 0)
    trainer.export_adapter(options.output + "/adapter", recipe.init);
  return folder;
}

// A model without a module for drafts is trained without one.
TrainConfig with_module_of(const Checkpoint& init, TrainConfig config) {
  const auto tensors = init.tensors.tensors();
  const bool module = std::any_of(tensors.begin(), tensors.end(), [](const TensorEntry& entry) {
    return entry.name.starts_with("mtp.");
  });
  if (!tensors.empty() && !module) config.loss.mtp_steps = 0;
  return config;
}

// One run: what its steps share.
class Run {
 public:
  Run(const Recipe& recipe, const TrainRunOptions& options)
      : recipe_(recipe),
        options_(options),
        tokenizer_(load_tokenizer_folder(recipe.tokenizer)),
        init_(recipe.init.empty() ? Checkpoint() : open_checkpoint(recipe.init)),
        config_(with_module_of(init_, train_config_of(recipe, tokenizer_))),
        trainer_(config_, options.threads) {
    if (!recipe.init.empty()) trainer_.load_weights(init_.tensors);
    make_folder(checkpoints_of(options));
    if (has_checkpoints(options)) {
      if (!options.resume)
        fail(ErrorCode::kInvalidArgument,
             "{}: holds checkpoints already: give --resume to go on from them, or another folder",
             options.output);
      load();
    }
  }

  TrainRunReport run() {
    TrainRunReport report;
    report.first_step = trainer_.steps_done();
    report.total_steps = recipe_.total_steps();
    RecipeData data(recipe_, tokenizer_);
    std::optional<RunLog> log;  // the first rank's
    if (world().rank() == 0) log.emplace(options_.output + "/log.jsonl", trainer_.steps_done());
    const Clock::time_point start = Clock::now();
    const int64_t tokens_before = state_.tokens;
    last_save_ = start;
    bool go_on = true;
    const int64_t end = options_.stop_at_step < 0
                            ? report.total_steps
                            : std::min(report.total_steps, options_.stop_at_step);
    while (go_on && trainer_.steps_done() < end) go_on = step(data, log, report.total_steps);
    if (trainer_.steps_done() > saved_step_ && trainer_.steps_done() > report.first_step) save();
    report.steps = trainer_.steps_done();
    report.tokens = state_.tokens;
    report.tokens_here = state_.tokens - tokens_before;
    report.seconds = seconds_between(start, Clock::now());
    if (!log) return report;
    if (!log->records().empty()) report.last_loss = log->records().back().main_loss;
    write_plots(log->records(), options_.output);
    report.exported = export_model(trainer_, recipe_, tokenizer_, options_);
    return report;
  }

  std::string export_only() { return export_model(trainer_, recipe_, tokenizer_, options_); }

 private:
  // A run that was killed before its first checkpoint was complete begins again.
  void load() {
    try {
      state_ = RunState::parse(trainer_.load_checkpoint(checkpoints_of(options_)));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound) throw;
    }
  }

  bool step(RecipeData& data, std::optional<RunLog>& log, int64_t total_steps) {
    const Clock::time_point start = Clock::now();
    const int64_t number = trainer_.steps_done();
    const RecipePhase& phase = *recipe_.phase_of(number).first;
    trainer_.set_schedule(recipe_.schedule_of(number));
    const int64_t drafts = std::min(recipe_.mtp_steps_of(number), trainer_.config().loss.mtp_steps);
    trainer_.set_mtp_steps(drafts);
    config_.loss.mtp_steps = drafts;
    const StepStats stats = trainer_.step(data.batches(number, world().rank(), world().ranks()));
    const double seconds = seconds_between(start, Clock::now());
    // The speed shown is a mean over the last twenty steps or so.
    speed_seconds_ = speed_seconds_ * 0.95 + seconds;
    speed_tokens_ = speed_tokens_ * 0.95 + static_cast<double>(stats.tokens);
    speed_steps_ = speed_steps_ * 0.95 + 1;
    state_.tokens += stats.tokens;
    state_.seconds += seconds;
    LogRecord record = make_record(stats, config_.loss.mtp_steps);
    record.tokens = state_.tokens;
    record.phase = phase.name;
    record.tokens_per_second = static_cast<double>(stats.tokens) / seconds;
    const bool last = stats.step == total_steps;
    if (recipe_.evaluate_steps > 0 && (stats.step % recipe_.evaluate_steps == 0 || last))
      record.held_out_loss = held_out_loss(data, number);
    if (log) log->add(record);
    save_when_due(stats.step);
    return agreed(show(record, phase, total_steps));
  }

  // True when the run goes on, as far as this rank knows.
  bool show(const LogRecord& record, const RecipePhase& phase, int64_t total_steps) {
    if (!options_.on_step || world().rank() > 0) return true;
    TrainProgress progress;
    progress.record = &record;
    progress.phase = &phase;
    progress.total_steps = total_steps;
    progress.seconds = state_.seconds;
    progress.seconds_left =
        static_cast<double>(total_steps - record.step) * speed_seconds_ / speed_steps_;
    progress.flops_per_second =
        train_flops_per_token(config_, phase.row_length) * speed_tokens_ / speed_seconds_;
    progress.parameters = trainer_.parameters();
    return options_.on_step(progress);
  }

  // The same answer on every rank: yes when all say yes.
  static bool agreed(bool mine) {
    int64_t against[] = {mine ? 0 : 1};
    world().sum(against);
    return against[0] == 0;
  }

  double held_out_loss(RecipeData& data, int64_t number) {
    const std::vector<TrainBatch> batches = data.evaluation(number);
    return batches.empty() ? -1 : trainer_.evaluate(batches).main_loss;
  }

  void save_when_due(int64_t step) {
    const double minutes = seconds_between(last_save_, Clock::now()) / 60;
    const bool by_time = recipe_.save_minutes > 0 && minutes >= recipe_.save_minutes;
    const bool by_steps = recipe_.save_steps > 0 && step % recipe_.save_steps == 0;
    if (!agreed(!by_time) || by_steps) save();
  }

  void save() {
    trainer_.save_checkpoint(checkpoints_of(options_), state_.text(),
                             static_cast<int>(recipe_.keep));
    saved_step_ = trainer_.steps_done();
    last_save_ = Clock::now();
  }

  const Recipe& recipe_;
  const TrainRunOptions& options_;
  Tokenizer tokenizer_;
  Checkpoint init_;
  TrainConfig config_;
  Trainer trainer_;
  RunState state_;
  Clock::time_point last_save_;
  int64_t saved_step_ = -1;
  double speed_seconds_ = 0, speed_tokens_ = 0, speed_steps_ = 0;
};

}  // namespace

TrainConfig train_config_of(const Recipe& recipe, const Tokenizer& tokenizer) {
  TrainConfig config = recipe.train;
  config.schedule = recipe.schedule_of(0);
  if (!recipe.init.empty()) config.model_json = read_text_file(recipe.init + "/config.json");
  json::value parsed = parse_json(config.model_json, recipe.path);
  json::object& model = parsed.as_object();
  const json::value* vocabulary = model.if_contains("vocab_size");
  if (vocabulary == nullptr || !vocabulary->is_int64() ||
      vocabulary->as_int64() < tokenizer.vocab_size())
    fail(ErrorCode::kInvalidArgument,
         "{}: vocab_size of the model is {}, expected at least the {} entries of {}", recipe.path,
         vocabulary == nullptr ? "missing" : dump_json(*vocabulary), tokenizer.vocab_size(),
         recipe.tokenizer);
  if (!tokenizer.eos_ids().empty()) model["eos_token_id"] = tokenizer.eos_ids().front();
  if (const auto pad = tokenizer.pad_id()) {
    model["pad_token_id"] = *pad;
    model["bos_token_id"] = *pad;
  }
  if (recipe.init.empty()) model["max_position_embeddings"] = recipe.context;
  config.model_json = dump_json_python(parsed, 2) + "\n";
  return config;
}

TrainRunReport run_training(const Recipe& recipe, const TrainRunOptions& options) {
  return Run(recipe, options).run();
}

std::string export_run(const Recipe& recipe, const TrainRunOptions& options) {
  TrainRunOptions resumed = options;
  resumed.resume = true;
  if (!has_checkpoints(resumed))
    fail(ErrorCode::kNotFound, "{}: no checkpoint to export", checkpoints_of(resumed));
  return Run(recipe, resumed).export_only();
}

}  // namespace headgate
