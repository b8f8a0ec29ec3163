// headgate perplexity: how well a model predicts a text, alone or beside a reference.
#include "eval/perplexity.h"

#include <fmt/core.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/input.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct Options {
  ModelOptions model;
  PerplexityOptions eval;
  std::optional<std::string> file, ids;
  bool parse_special = false;
  bool json = false;
};

std::vector<int32_t> read_tokens(const Options& o) {
  if (o.ids) return read_ids(*o.ids);
  const std::string text = read_text_input(std::nullopt, o.file, "text");
  EncodeOptions encode;
  encode.parse_special = o.parse_special;
  return load_tokenizer_of(o.model).encode(text, encode);
}

json::object report_json(const PerplexityReport& r) {
  json::object out{{"tokens", r.tokens},
                   {"scored", r.scored},
                   {"windows", r.windows},
                   {"window", r.window},
                   {"stride", r.stride},
                   {"nll", r.mean_nll},
                   {"nll_standard_error", r.nll_error},
                   {"perplexity", r.perplexity},
                   {"perplexity_standard_error", r.perplexity_error},
                   {"seconds", r.seconds}};
  if (r.divergence) {
    const DivergenceReport& d = *r.divergence;
    out["reference"] = json::object{{"perplexity", d.reference_perplexity},
                                    {"perplexity_ratio", d.perplexity_ratio},
                                    {"mean_kl", d.mean_kl},
                                    {"mean_kl_standard_error", d.kl_error},
                                    {"median_kl", d.median_kl},
                                    {"p99_kl", d.p99_kl},
                                    {"max_kl", d.max_kl},
                                    {"same_top", d.same_top},
                                    {"same_top_standard_error", d.same_top_error},
                                    {"mean_probability_change", d.mean_probability_change},
                                    {"rms_probability_change", d.rms_probability_change}};
  }
  return out;
}

std::string report_text(const PerplexityReport& r) {
  TextTable table({1});
  table.row({"perplexity", fmt::format("{:.4f} ± {:.4f}", r.perplexity, r.perplexity_error)});
  table.row({"nats per token", fmt::format("{:.5f} ± {:.5f}", r.mean_nll, r.nll_error)});
  table.row({"tokens", fmt::format("{} scored, {} windows of {} moving by {}",
                                   format_digits(r.scored), r.windows, r.window, r.stride)});
  table.row({"time", fmt::format("{}, {:.1f} tok/s", format_seconds(r.seconds),
                                 static_cast<double>(r.scored) / r.seconds)});
  if (!r.divergence) return table.text();
  const DivergenceReport& d = *r.divergence;
  table.row({"reference", fmt::format("perplexity {:.4f}; this is {:+.3f} %",
                                      d.reference_perplexity, (d.perplexity_ratio - 1) * 100)});
  table.row({"KL divergence", fmt::format("mean {:.6f} ± {:.6f}, median {:.6f}, 99 % {:.5f}, "
                                          "max {:.4f} nats",
                                          d.mean_kl, d.kl_error, d.median_kl, d.p99_kl, d.max_kl)});
  table.row({"same first choice",
             fmt::format("{:.3f} ± {:.3f} %", d.same_top * 100, d.same_top_error * 100)});
  table.row({"probability of the text",
             fmt::format("{:+.4f} % in the mean, {:.4f} % rms", d.mean_probability_change * 100,
                         d.rms_probability_change * 100)});
  return table.text();
}

int perplexity(const Options& o) {
  const InterruptScope interrupts;
  const std::vector<int32_t> tokens = read_tokens(o);
  const LoadedModel loaded = load_model(o.model);
  const ModelConfig& config = loaded.model->config();
  SessionOptions session_opts = session_options(o.model, config);
  // A window is all that is ever held.
  session_opts.context = std::min(config.context_length, std::max<int64_t>(o.eval.window, 2));
  Session session(loaded.model, config.vocabulary, session_opts);
  PerplexityOptions eval = o.eval;
  eval.chunk = o.model.chunk;
  ProgressBar bar("Scoring", ProgressUnit::kTokens);
  eval.progress = [&bar](int64_t done, int64_t total) {
    bar.update(done, total);
    return !InterruptScope::interrupted();
  };
  const PerplexityReport report = measure_perplexity(session, tokens, eval);
  bar.finish();
  write_stdout(o.json ? dump_json_python(report_json(report), 2) + "\n" : report_text(report));
  return 0;
}

}  // namespace

void add_perplexity(CommandLine& line) {
  auto o = std::make_shared<Options>();
  o->model.chunk = 256;
  Command& command = line.add("perplexity", "Measure how well a model predicts a text");
  command.option("-f,--file", o->file, "Text to predict; without it standard input is read")
      .takes("FILE")
      .option("--ids", o->ids, "JSON file with token ids instead of a text")
      .takes("FILE")
      .flag("--special", o->parse_special, "Recognise <|im_start|> and the like in the text")
      .option("-w,--window", o->eval.window, "Tokens that a prediction may look back on")
      .option("--stride", o->eval.stride, "Tokens the window moves on; 0: half of it")
      .option("--max-tokens", o->eval.max_tokens, "Only the first N tokens of the text; 0: all")
      .option("--save-logits", o->eval.save_logits, "Keep the predictions as a reference")
      .takes("FILE")
      .option("--kl", o->eval.compare,
              "Compare with the predictions of a reference: KL divergence, first choices")
      .takes("FILE")
      .flag("--json", o->json, "Report as JSON");
  add_model_options(command, o->model);
  command
      .example("headgate perplexity -m model-bf16/ -f text.txt --save-logits ref.logits",
               "the reference")
      .example("headgate perplexity -m model-q4_k.gguf -f text.txt --kl ref.logits",
               "what quantising has cost")
      .action([o] { return perplexity(*o); });
}

}  // namespace headgate
