// headgate convert: a model in another format or type.
#include "convert/convert.h"

#include <fmt/core.h>

#include <cstdlib>

#include "base/error.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct Options {
  ConvertOptions convert;
  std::string type = "keep";
  std::string split;
  bool no_mtp = false;
  bool json = false;
};

int convert(const Options& o) {
  const InterruptScope interrupts;
  ConvertOptions options = o.convert;
  options.mtp = !o.no_mtp;
  if (o.type != "keep") {
    options.type = dtype_from_name(o.type);
    if (!options.type)
      fail(ErrorCode::kInvalidArgument,
           "--type: found {}, expected keep, f32, f16, bf16 or a "
           "block type such as q8_0",
           o.type);
  }
  if (!o.split.empty()) options.max_part_bytes = parse_size("--split", o.split);
  ProgressBar bar("Converting", ProgressUnit::kBytes);
  options.progress = [&bar](int64_t done, int64_t total) {
    bar.update(done, total);
    return !InterruptScope::interrupted();
  };
  const ConvertReport report = convert_checkpoint(options);
  bar.finish();
  if (o.json) {
    json::array files;
    for (const std::string& file : report.files) files.emplace_back(file);
    write_stdout(dump_json_python(json::object{{"files", std::move(files)},
                                               {"tensors", report.tensors},
                                               {"bytes_read", report.bytes_read},
                                               {"bytes_written", report.bytes_written}},
                                  2) +
                 "\n");
    return 0;
  }
  print("{} tensors, {} read, {} written to {}\n", report.tensors,
        format_bytes(static_cast<double>(report.bytes_read)),
        format_bytes(static_cast<double>(report.bytes_written)), printable(options.output));
  return 0;
}

}  // namespace

void add_convert(CommandLine& line) {
  auto o = std::make_shared<Options>();
  Command& command = line.add("convert", "Convert between Hugging Face folders and GGUF files");
  command.option("input", o->convert.input, "Folder or GGUF file to read")
      .takes("INPUT")
      .required()
      .option("output", o->convert.output, "GGUF file (a name ending in .gguf) or folder to write")
      .takes("OUTPUT")
      .required()
      .option("--type", o->type, "Type of the matrices: keep, f32, f16, bf16, q8_0, q4_k, ...")
      .option("--split", o->split, "Write parts of at most this size, such as 2G or 500M")
      .takes("SIZE")
      .option("--name", o->convert.name, "Name to store in a GGUF; the folder's without it")
      .option("--adapter", o->convert.adapter, "LoRA adapter (PEFT's layout) to merge in")
      .takes("DIR")
      .flag("--no-mtp", o->no_mtp, "Leave the multi-token-prediction module out")
      .option("-t,--threads", o->convert.threads, "Threads to compute with; 0: one per core")
      .flag("--json", o->json, "Report as JSON")
      .example("headgate convert Qwen3-Next-80B-A3B-Instruct/ model.gguf", "folder to GGUF")
      .example("headgate convert model.gguf folder/ --split 5G", "and back, in shards")
      .action([o] { return convert(*o); });
}

}  // namespace headgate
