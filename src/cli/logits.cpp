// headgate logits: the raw predictions for a sequence of ids, as a NumPy file.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "formats/npy.h"

namespace headgate {
namespace {

struct LogitsOptions {
  ModelOptions model;
  std::string ids;
  std::string out;
  bool hidden = false;
};

// Runs the ids in steps of `chunk` and hands over each step's result.
void run_steps(const LoadedModel& loaded, const LogitsOptions& o, const std::vector<int32_t>& ids,
               const std::function<void(const StepResult&)>& on_step) {
  const auto tokens = static_cast<int64_t>(ids.size());
  const SessionOptions options = session_options(o.model, loaded.model->config());
  const StateShape shape = loaded.model->state_shape(options.kv_dtype);
  const int64_t pages = tokens / shape.kv.page_tokens + 1;
  StatePool pool(shape, pages * shape.page_bytes() + shape.recurrent_bytes());
  std::optional<SequenceState> state = pool.create();
  if (!state || !state->reserve(tokens))
    fail(ErrorCode::kResourceExhausted, "state: no room for {} tokens", tokens);
  StepResult result;
  result.keep_hidden = o.hidden;
  ProgressBar bar("Computing", ProgressUnit::kTokens);
  for (int64_t from = 0; from < tokens; from += options.prefill_chunk) {
    if (InterruptScope::interrupted()) fail(ErrorCode::kCancelled, "cancelled");
    const int64_t count = std::min(options.prefill_chunk, tokens - from);
    const BatchItem item{
        &*state, std::span(ids).subspan(static_cast<size_t>(from), static_cast<size_t>(count)),
        o.hidden ? LogitRows::kNone : LogitRows::kAll};
    loaded.model->forward({&item, 1}, result);
    on_step(result);
    bar.update(from + count, tokens);
  }
}

int logits(const LogitsOptions& o) {
  const InterruptScope interrupts;
  const std::vector<int32_t> ids = read_ids(o.ids);
  if (ids.empty()) fail(ErrorCode::kInvalidArgument, "{}: no token ids", o.ids);
  const LoadedModel loaded = load_model(o.model);
  const ModelConfig& config = loaded.model->config();
  const int64_t width = o.hidden ? config.hidden_size : config.vocabulary;
  NpyWriter writer(o.out, {static_cast<int64_t>(ids.size()), width});
  run_steps(loaded, o, ids, [&](const StepResult& result) {
    writer.write(o.hidden ? result.hidden : result.logits);
  });
  writer.finish();
  report_note(fmt::format("{}: float32 [{}, {}]", o.out, ids.size(), width));
  return 0;
}

}  // namespace

void add_logits(CommandLine& line) {
  auto o = std::make_shared<LogitsOptions>();
  // Meant for comparisons with other implementations: nothing is rounded unless asked for.
  o->model.kv_type = "f32";
  Command& command =
      line.add("logits", "Write the logits of every token of a sequence to a NumPy file");
  command.option("--ids", o->ids, "JSON file with the token ids; - is standard input")
      .takes("FILE")
      .required()
      .option("-o,--out", o->out, "The file to write: float32 [tokens, vocabulary]")
      .takes("FILE.npy")
      .required()
      .flag("--hidden", o->hidden, "Write the hidden states after the final norm instead");
  add_model_options(command, o->model);
  command
      .example("headgate logits -m DIR --ids ids.json --out logits.npy",
               "predictions to compare with another implementation")
      .example("headgate logits -m model.gguf --ids ids.json --out logits.npy --chunk 7 --exact",
               "odd steps, and quantised weights multiplied exactly")
      .action([o] { return logits(*o); });
}

}  // namespace headgate
