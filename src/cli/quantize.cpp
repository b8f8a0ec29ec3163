// headgate quantize: a smaller model in a chosen mix of types, and what that costs in accuracy.
#include "convert/quantize.h"

#include <fmt/core.h>

#include <cstdio>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/importance.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct Options {
  QuantizeOptions quantize;
  std::string split;
  std::optional<std::string> calibrate, save_importance;
  int64_t calibration_tokens = 16384;
  bool list = false;
  bool json = false;
};

std::string mixes_text() {
  TextTable table({1, 2});
  for (const QuantMix& mix : quant_mixes())
    table.row({std::string(mix.name), std::string(dtype_name(mix.base)), std::string(mix.summary)});
  return table.text();
}

std::string types_of(const QuantizeClass& group) {
  std::string out;
  for (const auto& [type, elements] : group.elements_by_type)
    out += (out.empty() ? "" : " ") + std::string(dtype_name(type));
  return out;
}

void add_row(TextTable& table, const QuantizeClass& group, const std::string& name) {
  table.row({name, std::to_string(group.tensors), format_count(static_cast<double>(group.elements)),
             format_bytes(static_cast<double>(group.bytes)),
             fmt::format("{:.2f}", group.bits_per_weight()),
             fmt::format("{:.3f} %", group.relative_error() * 100), types_of(group)});
}

std::string report_text(const QuantizeReport& report, const std::string& output) {
  TextTable table({6});
  table.row({"class", "tensors", "values", "size", "bits each", "error", "types"});
  for (const QuantizeClass& group : report.classes) add_row(table, group, group.name);
  QuantizeClass total = report.total();
  total.elements_by_type.clear();
  add_row(table, total, "total");
  return table.text() + fmt::format("\n{} read, {} written to {}\n",
                                    format_bytes(static_cast<double>(report.bytes_read)),
                                    format_bytes(static_cast<double>(report.bytes_written)),
                                    printable(output));
}

json::object class_json(const QuantizeClass& group) {
  json::object types;
  for (const auto& [type, elements] : group.elements_by_type)
    types[std::string(dtype_name(type))] = elements;
  return {{"tensors", group.tensors},
          {"values", group.elements},
          {"bytes", group.bytes},
          {"bits_per_weight", group.bits_per_weight()},
          {"relative_error", group.relative_error()},
          {"rmse", group.rmse()},
          {"values_by_type", std::move(types)}};
}

json::object report_json(const QuantizeReport& report) {
  json::array files;
  for (const std::string& file : report.files) files.emplace_back(file);
  json::object classes;
  for (const QuantizeClass& group : report.classes) classes[group.name] = class_json(group);
  return {{"files", std::move(files)},
          {"bytes_read", report.bytes_read},
          {"bytes_written", report.bytes_written},
          {"input_was_quantized", report.input_was_quantized},
          {"without_importance", report.without_importance},
          {"classes", std::move(classes)},
          {"total", class_json(report.total())}};
}

// A file that is removed again.
struct TemporaryFile {
  std::string path;
  TemporaryFile() = default;
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!path.empty()) std::remove(path.c_str());
  }
};

// Measures the importance matrix into the file to keep, or into one that goes with `temporary`.
void calibrate(const Options& o, QuantizeOptions& options, TemporaryFile& temporary) {
  if (!o.calibrate) {
    if (o.save_importance)
      fail(ErrorCode::kInvalidArgument, "--save-importance: expected --calibrate beside it");
    return;
  }
  if (!options.importance.empty())
    fail(ErrorCode::kInvalidArgument, "--calibrate and --importance: expected one of them");
  options.importance = o.save_importance.value_or(options.output + ".importance.tmp");
  if (!o.save_importance) temporary.path = options.importance;
  const int64_t tokens = measure_importance(options.input, *o.calibrate, options.importance,
                                            o.calibration_tokens, options.threads);
  report_note(fmt::format("importance measured on {} tokens", tokens));
}

int quantize(const Options& o) {
  if (o.list) {
    write_stdout(mixes_text());
    return 0;
  }
  if (o.quantize.input.empty() || o.quantize.output.empty())
    fail(ErrorCode::kInvalidArgument, "expected INPUT and OUTPUT (see headgate quantize --help)");
  const InterruptScope interrupts;
  QuantizeOptions options = o.quantize;
  if (!o.split.empty()) options.max_part_bytes = parse_size("--split", o.split);
  TemporaryFile temporary;
  calibrate(o, options, temporary);
  ProgressBar bar("Quantising", ProgressUnit::kBytes);
  options.progress = [&bar](int64_t done, int64_t total) {
    bar.update(done, total);
    return !InterruptScope::interrupted();
  };
  const QuantizeReport report = quantize_checkpoint(options);
  bar.finish();
  if (report.input_was_quantized)
    report_note("the input was quantised already: the errors are those of this second rounding");
  if (report.without_importance > 0)
    report_note(fmt::format("the importance matrix does not know {} of the matrices",
                            report.without_importance));
  write_stdout(o.json ? dump_json_python(report_json(report), 2) + "\n"
                      : report_text(report, options.output));
  return 0;
}

}  // namespace

void add_quantize(CommandLine& line) {
  auto o = std::make_shared<Options>();
  Command& command = line.add("quantize", "Write a smaller GGUF in a mix of quantised types");
  command.option("input", o->quantize.input, "Folder or GGUF file to read, best in bf16 or f32")
      .takes("INPUT")
      .option("output", o->quantize.output, "GGUF file to write")
      .takes("OUTPUT.gguf")
      .option("-x,--mix", o->quantize.mix, "Mix of types; --list shows all")
      .option("--importance", o->quantize.importance,
              "Importance matrix: columns that are driven hard keep more precision")
      .takes("FILE")
      .option("--calibrate", o->calibrate, "Measure the importance matrix on this text first")
      .takes("TEXT")
      .option("--calibration-tokens", o->calibration_tokens, "Tokens of it to run; 0: all")
      .option("--save-importance", o->save_importance, "Keep the measured matrix")
      .takes("FILE")
      .option("--split", o->split, "Write parts of at most this size, such as 2G or 500M")
      .takes("SIZE")
      .option("-t,--threads", o->quantize.threads, "Threads to compute with; 0: one per core")
      .flag("--list", o->list, "List the mixes and leave")
      .flag("--json", o->json, "Report as JSON")
      .example("headgate quantize model/ model-q4.gguf",
               "4 bits for the experts, more for the delta nets")
      .example("headgate quantize model/ model-q8.gguf --mix q8_0", "8 bits for everything large")
      .example("headgate quantize model/ model-q4.gguf --calibrate text.txt",
               "with precision where this text needs it")
      .action([o] { return quantize(*o); });
}

}  // namespace headgate
