// headgate synth: a checkpoint of random weights at any geometry, for timing and tests.
#include "convert/synth.h"

#include <fmt/core.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct Options {
  SynthOptions synth;
  std::string type = "bf16";
  bool no_mtp = false;
  bool list = false;
  bool json = false;
};

std::string presets_text() {
  TextTable table({1});
  for (const SynthPreset& preset : synth_presets())
    table.row({std::string(preset.name), std::string(preset.description)});
  return table.text();
}

int synth(const Options& o) {
  if (o.list) {
    write_stdout(presets_text());
    return 0;
  }
  SynthOptions options = o.synth;
  if (options.output.empty())
    fail(ErrorCode::kInvalidArgument, "expected OUTPUT (see headgate synth --help)");
  const std::optional<DType> type = dtype_from_name(o.type);
  if (!type)
    fail(ErrorCode::kInvalidArgument, "--type: found {}, expected bf16, q4_k, q8_0, ...", o.type);
  options.type = *type;
  options.mtp = !o.no_mtp;
  const InterruptScope interrupts;
  ProgressBar bar("Writing", ProgressUnit::kBytes);
  options.progress = [&bar](int64_t done, int64_t total) {
    bar.update(done, total);
    return !InterruptScope::interrupted();
  };
  const ConvertReport report = synthesize_checkpoint(options);
  bar.finish();
  if (o.json) {
    json::array files;
    for (const std::string& file : report.files) files.emplace_back(file);
    write_stdout(dump_json_python(json::object{{"files", std::move(files)},
                                               {"tensors", report.tensors},
                                               {"bytes_written", report.bytes_written}},
                                  2) +
                 "\n");
    return 0;
  }
  print("{} tensors, {} written to {}\n", report.tensors,
        format_bytes(static_cast<double>(report.bytes_written)), printable(options.output));
  return 0;
}

}  // namespace

void add_synth(CommandLine& line) {
  auto o = std::make_shared<Options>();
  Command& command = line.add("synth", "Write a model of random weights, for timing and tests");
  command.option("output", o->synth.output, "GGUF file (a name ending in .gguf) or folder to write")
      .takes("OUTPUT")
      .option("--preset", o->synth.preset, "Geometry to start from; --list shows all")
      .option("--config", o->synth.config_path, "A config.json whose geometry is taken instead")
      .takes("FILE")
      .option("--layers", o->synth.layers, "Layers; 0: as many as the geometry has")
      .option("--experts", o->synth.experts, "Experts per layer; 0: as many as the geometry has")
      .option("--type", o->type, "Type of the matrices: bf16, q4_k, q8_0, ...")
      .option("--mix", o->synth.mix, "A mix of types instead of one (headgate quantize --list)")
      .flag("--no-mtp", o->no_mtp, "Leave the multi-token-prediction module out")
      .flag("--header-only", o->synth.header_only,
            "Names and shapes only: the weights are a hole in the file, for headgate inspect")
      .option("--seed", o->synth.seed, "Other weights")
      .option("-t,--threads", o->synth.threads, "Threads to compute with; 0: one per core")
      .flag("--list", o->list, "List the geometries and leave")
      .flag("--json", o->json, "Report as JSON")
      .example("headgate synth --preset qwen3-next-80b --layers 4 --type q4_k true-shape.gguf",
               "four layers at true shapes, for headgate bench")
      .example("headgate synth --header-only big.gguf && headgate inspect -m big.gguf",
               "the full size without its weights")
      .action([o] { return synth(*o); });
}

}  // namespace headgate
