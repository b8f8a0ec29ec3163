// headgate inspect: what a model file holds and what running it would take, without reading
// weights.
#include <fmt/core.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/inspect_report.h"
#include "cli/model_options.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct InspectOptions {
  ModelOptions model;
  bool tensors = false;
  bool show_template = false;
  bool metadata = false;
  bool json = false;
};

int inspect(const InspectOptions& options) {
  const Checkpoint checkpoint = open_model_files(options.model);
  if (options.show_template) {
    const std::optional<StoredTemplate> stored = stored_template(checkpoint);
    if (!stored) fail(ErrorCode::kNotFound, "{}: no chat template", checkpoint.path);
    write_stdout(stored->text());
    return 0;
  }
  const InspectReport report = inspect_checkpoint(checkpoint, options.model);
  if (options.json) {
    json::object out = inspect_json(report);
    if (options.tensors) out["tensors"] = tensors_json(checkpoint.tensors);
    if (options.metadata) out["metadata"] = metadata_json(checkpoint);
    write_stdout(dump_json_python(out, 2) + "\n");
    return 0;
  }
  write_stdout(inspect_text(report));
  if (options.metadata) write_stdout("\n" + metadata_text(checkpoint));
  if (options.tensors) write_stdout("\n" + tensors_text(checkpoint.tensors));
  return 0;
}

}  // namespace

void add_inspect(CommandLine& line) {
  auto options = std::make_shared<InspectOptions>();
  Command& command =
      line.add("inspect", "Show what a model holds and what running it takes, without loading it");
  add_model_path(command, options->model);
  command.group("")
      .option("-c,--ctx", options->model.context,
              "Tokens of context to estimate memory for; 0: all that the model was made for")
      .choice("--kv-type", options->model.kv_type, {"auto", "f32", "f16", "bf16", "int8", "q4"},
              "Type of cached keys and values")
      .flag("--tensors", options->tensors, "List every tensor")
      .flag("--metadata", options->metadata, "List the GGUF keys or the contents of config.json")
      .flag("--template", options->show_template, "Print the chat template and nothing else")
      .flag("--json", options->json, "Report as JSON")
      .example("headgate inspect -m Qwen3-Next-80B-A3B-Instruct/ --ctx 262144",
               "how much memory would a full context take?")
      .example("headgate inspect -m model.gguf --tensors", "types, shapes and sizes of all tensors")
      .action([options] { return inspect(*options); });
}

}  // namespace headgate
