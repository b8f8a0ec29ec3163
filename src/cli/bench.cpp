// headgate bench: tokens and bytes per second beside the machine's memory bandwidth.
#include <fmt/core.h>

#include "base/cpu_info.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/bench_commands.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "eval/speed.h"
#include "model/prefill_chunk.h"

namespace headgate {
namespace {

struct BenchOptions {
  ModelOptions model;
  SpeedOptions speed;
  bool interactive = false;
  bool json = false;
  bool csv = false;
};

std::string test_name(const SpeedResult& r) {
  if (r.prefill) return fmt::format("prefill {}", r.tokens);
  if (r.sequences == 1) return fmt::format("decode {}", r.tokens);
  return fmt::format("decode {} x {}", r.sequences, r.tokens);
}

double share_of_roof(const SpeedReport& report, const SpeedResult& r) {
  return report.read_gbps > 0 ? r.gbps() / report.read_gbps : 0;
}

std::string peaks_text(const Peaks& peaks) {
  std::string text;
  const auto add = [&text](const char* unit, double giga) {
    if (giga > 0) text += fmt::format("{}{} {:.2f}", text.empty() ? "" : ", ", unit, giga * 1e-3);
  };
  add("fp32", peaks.fma);
  add("int8", peaks.int8_dot);
  add("bf16", peaks.bf16_dot);
  add("AMX bf16", peaks.amx_bf16);
  add("AMX int8", peaks.amx_int8);
  return text + " in 1e12 operations/s";
}

std::string bench_text(const LoadedModel& loaded, const SpeedReport& report, int64_t chunk) {
  const Model& model = *loaded.model;
  TextTable about({1});
  about.row(
      {"model", fmt::format("{}, {} of weights, {} read per token", printable(loaded.name()),
                            format_bytes(static_cast<double>(model.weight_bytes())),
                            format_bytes(static_cast<double>(model.weight_bytes_per_token())))});
  about.row({"machine", fmt::format("{}; {}", cpu_info().model, loaded.backend->description())});
  about.row({"memory",
             fmt::format("reads {:.1f} GB/s, {:.1f} with one thread ({:+.0f} % from "
                         "before to after)",
                         report.read_gbps, report.read_gbps_one, report.bandwidth_change * 100)});
  about.row(
      {"load", fmt::format("{:.1f} before, {:.1f} after", report.load_before, report.load_after)});
  about.row({"peaks", peaks_text(report.peaks)});
  const int64_t scratch = step_scratch_bytes(model.config(), chunk);
  about.row(
      {"prefill", fmt::format("{} tokens per step, {} of scratch memory at most",
                              format_digits(chunk), format_bytes(static_cast<double>(scratch)))});
  TextTable table;
  table.row({"test", "depth", "tok/s", "slowest", "fastest", "MB/token", "GB/s", "of memory"});
  for (const SpeedResult& r : report.results) {
    std::vector<std::string> row = {
        test_name(r), format_digits(r.depth), fmt::format("{:.2f}", r.tokens_per_second),
        fmt::format("{:.2f}", r.slowest), fmt::format("{:.2f}", r.fastest)};
    if (!r.prefill) {
      row.push_back(fmt::format("{:.1f}", r.bytes_per_token * 1e-6));
      row.push_back(fmt::format("{:.2f}", r.gbps()));
      row.push_back(fmt::format("{:.0f} %", share_of_roof(report, r) * 100));
    }
    table.row(std::move(row));
  }
  return about.text() + "\n" + table.text();
}

json::object bench_json(const LoadedModel& loaded, const SpeedReport& report, int64_t chunk) {
  json::array results;
  for (const SpeedResult& r : report.results) {
    json::object result{{"test", r.prefill ? "prefill" : "decode"},
                        {"tokens", r.tokens},
                        {"depth", r.depth},
                        {"sequences", r.sequences},
                        {"seconds", json::array(r.seconds.begin(), r.seconds.end())},
                        {"tokens_per_second", r.tokens_per_second},
                        {"slowest", r.slowest},
                        {"fastest", r.fastest}};
    if (!r.prefill) {
      result["bytes_per_token"] = r.bytes_per_token;
      result["distinct_experts"] = r.distinct_experts;
      result["gbps"] = r.gbps();
      result["share_of_bandwidth"] = share_of_roof(report, r);
    }
    results.push_back(std::move(result));
  }
  return {{"model", loaded.name()},
          {"version", HEADGATE_VERSION},
          {"weight_bytes", loaded.model->weight_bytes()},
          {"weight_bytes_per_token", loaded.model->weight_bytes_per_token()},
          {"prefill_chunk", chunk},
          {"scratch_bytes", step_scratch_bytes(loaded.model->config(), chunk)},
          {"cpu", cpu_info().model},
          {"backend", loaded.backend->description()},
          {"isa", std::string(isa_name(selected_isa()))},
          {"read_gbps", report.read_gbps},
          {"read_gbps_one_thread", report.read_gbps_one},
          {"bandwidth_change", report.bandwidth_change},
          {"fma_gflops", report.peaks.fma},
          {"int8_dot_gops", report.peaks.int8_dot},
          {"bf16_dot_gflops", report.peaks.bf16_dot},
          {"amx_bf16_gflops", report.peaks.amx_bf16},
          {"amx_int8_gops", report.peaks.amx_int8},
          {"load_before", report.load_before},
          {"load_after", report.load_after},
          {"results", std::move(results)}};
}

std::string bench_csv(const SpeedReport& report) {
  std::string out =
      "test,tokens,depth,sequences,tokens_per_second,slowest,fastest,bytes_per_token,gbps,"
      "read_gbps\n";
  for (const SpeedResult& r : report.results)
    out += fmt::format("{},{},{},{},{:.4f},{:.4f},{:.4f},{:.0f},{:.4f},{:.4f}\n",
                       r.prefill ? "prefill" : "decode", r.tokens, r.depth, r.sequences,
                       r.tokens_per_second, r.slowest, r.fastest, r.bytes_per_token, r.gbps(),
                       report.read_gbps);
  return out;
}

int bench(const BenchOptions& o) {
  const InterruptScope interrupts;
  const LoadedModel loaded = load_model(o.model);
  SpeedOptions speed = o.speed;
  speed.chunk = prefill_chunk(o.model, loaded.model->config());
  speed.threads = o.model.threads;
  speed.kv_dtype = kv_dtype(o.model, loaded.model->config());
  if (o.interactive) {
    run_bench_commands(*loaded.model, speed);
    return 0;
  }
  ProgressBar bar("Measuring", ProgressUnit::kSteps);
  speed.progress = [&bar](int64_t done, int64_t total) {
    bar.update(done, total);
    return !InterruptScope::interrupted();
  };
  const SpeedReport report = measure_speed(*loaded.model, speed);
  bar.finish();
  if (o.json) {
    write_stdout(dump_json_python(bench_json(loaded, report, speed.chunk), 2) + "\n");
  } else {
    write_stdout(o.csv ? bench_csv(report) : bench_text(loaded, report, speed.chunk));
  }
  return 0;
}

}  // namespace

void add_bench(CommandLine& line) {
  auto o = std::make_shared<BenchOptions>();
  Command& command = line.add("bench", "Measure speed beside the machine's memory bandwidth");
  command.option("-p,--prompt", o->speed.prompts, "Prompt lengths to time, in tokens")
      .option("-n,--generate", o->speed.generate, "Tokens to decode; 0: none")
      .option("-d,--depth", o->speed.depths, "Tokens in the context beforehand")
      .option("-s,--sequences", o->speed.sequences, "Sequences decoded together, each a test")
      .option("-r,--repeats", o->speed.repeats, "Runs of each test; the median counts")
      .flag("--interactive", o->interactive,
            "Read tests from standard input, answer each with a line of JSON (docs/cli.md)")
      .flag("--json", o->json, "Report as JSON, with the time of every run")
      .flag("--csv", o->csv, "Report as comma-separated values");
  add_model_options(command, o->model);
  command.example("headgate bench -m model.gguf", "prefill of 512 tokens, decode of 64")
      .example("headgate bench -m model.gguf -p 512,4096 -n 64 -d 0,4096 -r 5 --json",
               "more lengths and depths, for a script")
      .action([o] { return bench(*o); });
}

}  // namespace headgate
