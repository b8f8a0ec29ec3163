// headgate train: a run as its recipe describes it, with progress, and the model it leaves.
#include <fmt/core.h>

#include <algorithm>

#include "backend/calibrate.h"
#include "base/error.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/terminal.h"
#include "comm/communicator.h"
#include "convert/convert.h"
#include "train/train_run.h"

namespace headgate {
namespace {

struct Options {
  std::string recipe;
  TrainRunOptions run;
  bool export_only = false;
  bool no_gguf = false;
  bool quiet = false;
};

// What the machine's best fp32 or bf16 unit does, measured; useful work is compared with it.
double measured_peak(const Recipe& recipe, int threads) {
  const Peaks peaks = calibrate_peaks(threads);
  if (recipe.train.precision == TrainPrecision::kF32) return peaks.fma * 1e9;
  return std::max({peaks.fma, peaks.bf16_dot, peaks.amx_bf16}) * 1e9;
}

std::string short_line(const TrainProgress& p, double peak) {
  const LogRecord& r = *p.record;
  std::string out =
      fmt::format("{} {}/{}  loss {:.4f}", p.phase->name, r.step, p.total_steps, r.main_loss);
  if (r.held_out_loss >= 0) out += fmt::format("  held out {:.4f}", r.held_out_loss);
  if (!r.acceptance.empty()) out += fmt::format("  drafts {:.0f} %", r.acceptance[0] * 100);
  out += fmt::format("  {:.0f} tok/s  MFU {:.1f} %  load {:.2f}x", r.tokens_per_second,
                     p.flops_per_second / peak * 100, r.max_load);
  if (r.dead_experts > 0) out += fmt::format("  {} dead", r.dead_experts);
  return out + fmt::format("  rate {:.2e}  {} left", r.rate, format_seconds(p.seconds_left));
}

// One line that redraws itself on a terminal; elsewhere a line now and then.
class Display {
 public:
  Display(double peak, bool quiet) : peak_(peak), quiet_(quiet) {}
  ~Display() {
    if (drawn_) write_stderr("\r\x1b[K");
  }
  void show(const TrainProgress& progress) {
    if (quiet_) return;
    const std::string text = short_line(progress, peak_);
    if (is_terminal(Stream::kError)) {
      const auto columns = static_cast<size_t>(std::max(20, terminal_columns() - 1));
      write_stderr("\r\x1b[K" + text.substr(0, columns));
      drawn_ = true;
      return;
    }
    // Powers of two at first, then every 64th step.
    const int64_t step = progress.record->step;
    if (step % 64 == 0 || (step & (step - 1)) == 0 || step == progress.total_steps)
      write_stderr(text + "\n");
  }

 private:
  double peak_;
  bool quiet_;
  bool drawn_ = false;
};

void write_gguf(const Recipe& recipe, const std::string& folder, const std::string& output) {
  ConvertOptions convert;
  convert.input = folder;
  convert.output = output + "/" + recipe.name + ".gguf";
  const std::optional<DType> type = dtype_from_name(recipe.gguf_type);
  if (!type)
    fail(ErrorCode::kInvalidArgument, "{}: gguf_type {}, expected bf16, q8_0, ...", recipe.path,
         recipe.gguf_type);
  convert.type = *type;
  convert.name = recipe.name;
  convert_checkpoint(convert);
}

// A GGUF that training begins with becomes a folder beside the run, made once.
void unpack_init(Recipe& recipe, const std::string& output) {
  if (!recipe.init.ends_with(".gguf")) return;
  const std::string folder = output + "/base";
  if (!file_exists(folder + "/config.json")) {
    ConvertOptions convert;
    convert.input = recipe.init;
    convert.output = folder;
    convert_checkpoint(convert);
  }
  if (recipe.tokenizer == recipe.init) recipe.tokenizer = folder;
  recipe.init = folder;
}

int train(const Options& o) {
  Recipe recipe = read_recipe(o.recipe);
  if (!dtype_from_name(recipe.gguf_type))
    fail(ErrorCode::kInvalidArgument, "{}: gguf_type {}, expected bf16, q8_0, ...", recipe.path,
         recipe.gguf_type);
  TrainRunOptions options = o.run;
  if (options.output.empty()) options.output = recipe.name + "-run";
  unpack_init(recipe, options.output);
  if (o.export_only) {
    const std::string folder = export_run(recipe, options);
    if (!o.no_gguf) write_gguf(recipe, folder, options.output);
    print("{}\n", printable(folder));
    return 0;
  }
  const int threads = options.threads > 0 ? options.threads : ThreadPool::default_threads();
  const InterruptScope interrupts(3);
  TrainRunReport report;
  {
    const bool quiet = o.quiet || world().rank() > 0;
    Display display(quiet ? 1 : measured_peak(recipe, threads), quiet);
    options.on_step = [&display](const TrainProgress& progress) {
      display.show(progress);
      return !InterruptScope::interrupted();
    };
    report = run_training(recipe, options);
  }
  if (world().rank() > 0) return 0;
  if (!o.no_gguf) write_gguf(recipe, report.exported, options.output);
  print(
      "steps {}..{} of {}, {} tokens in all, {} in this run at {:.0f} tok/s; loss {:.4f}; model in "
      "{}\n",
      report.first_step, report.steps, report.total_steps, format_digits(report.tokens),
      format_seconds(report.seconds),
      report.seconds > 0 ? static_cast<double>(report.tokens_here) / report.seconds : 0.0,
      report.last_loss, printable(report.exported));
  if (!report.finished()) report_note("not finished: go on with --resume");
  return 0;
}

}  // namespace

void add_train(CommandLine& line) {
  auto o = std::make_shared<Options>();
  Command& command = line.add("train", "Train a model as a recipe describes it");
  command.option("recipe", o->recipe, "TOML file: model, data, phases (docs/training.md)")
      .takes("RECIPE.toml")
      .required()
      .option("-o,--output", o->run.output,
              "Folder for checkpoints, log, plots and the model; NAME-run without it")
      .takes("FOLDER")
      .flag("--resume", o->run.resume,
            "Go on from the newest checkpoint, or begin where there is none")
      .option("--stop-at-step", o->run.stop_at_step, "Save and end when so many steps are done")
      .option("-t,--threads", o->run.threads, "Threads to compute with; 0: one per core")
      .flag("--export-only", o->export_only, "Write the model of the newest checkpoint and leave")
      .flag("--no-gguf", o->no_gguf, "Write the model as a folder only")
      .flag("--quiet", o->quiet, "No progress")
      .example("headgate train recipe.toml -o run --resume",
               "start, and go on after Ctrl-C or a crash, with the same line")
      .action([o] { return train(*o); });
}

}  // namespace headgate
