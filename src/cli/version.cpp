// headgate version: the version, and with --build what this build holds and this machine offers.
#include <fmt/core.h>

#include <string>

#include "backend/calibrate.h"
#include "base/cpu_info.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/embedded_model.h"
#include "cli/format.h"
#include "cli/line_editor.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct VersionOptions {
  bool build = false;
  bool json = false;
};

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::string isa_list() {
  std::string out;
  for (Isa isa : isas_on_this_machine())
    out += (out.empty() ? "" : " ") + std::string(isa_name(isa));
  return out;
}

json::object build_report() {
  json::object isas;
  json::array levels;
  for (Isa isa : isas_on_this_machine()) levels.emplace_back(std::string(isa_name(isa)));
  json::array replaced;
  for (const std::string& line : replaced_kernels()) replaced.emplace_back(line);
  const Topology& topology = machine_topology();
  return {{"version", HEADGATE_VERSION},
          {"build_type", HEADGATE_BUILD_TYPE},
          {"compiler", compiler()},
          {"sanitizers", HEADGATE_SANITIZERS},
          {"backends", json::array{"cpu"}},
          {"line_editing", line_editing_library()},
          {"embedded_model_bytes", embedded_model().size()},
          {"cpu", cpu_info().model},
          {"isa_levels", std::move(levels)},
          {"isa", std::string(isa_name(selected_isa()))},
          {"replaced_kernels", std::move(replaced)},
          {"cores", topology.cores.size()},
          {"numa_nodes", topology.nodes},
          {"cpu_quota", topology.quota_cpus},
          {"topology", topology.source},
          {"threads", ThreadPool::default_threads()}};
}

// "2 (2 cores, 1 NUMA node)".
std::string threads_text() {
  const Topology& t = machine_topology();
  const std::string quota =
      t.quota_cpus > 0 ? fmt::format(", quota of {:.3g} CPUs", t.quota_cpus) : "";
  return fmt::format("{} ({} core{}, {} NUMA node{}{})", ThreadPool::default_threads(),
                     t.cores.size(), t.cores.size() == 1 ? "" : "s", t.nodes,
                     t.nodes == 1 ? "" : "s", quota);
}

std::string build_text() {
  const size_t model = embedded_model().size();
  TextTable table({1});
  table.row({"build", fmt::format("{}, {}", HEADGATE_BUILD_TYPE, compiler())});
  if (std::string(HEADGATE_SANITIZERS) != "") table.row({"sanitizers", HEADGATE_SANITIZERS});
  table.row({"backends", "cpu"});
  table.row({"line editing", line_editing_library()});
  table.row({"embedded model", model > 0 ? format_bytes(static_cast<double>(model)) : "none"});
  table.row({"processor", cpu_info().model});
  table.row(
      {"instruction sets", fmt::format("{} (in use: {})", isa_list(), isa_name(selected_isa()))});
  const std::vector<std::string> replaced = replaced_kernels();
  if (replaced.empty()) table.row({"kernels", "all passed the start-up test"});
  for (const std::string& line : replaced) table.row({"kernel replaced", line});
  table.row({"threads", threads_text()});
  return table.text();
}

int version(const VersionOptions& options) {
  if (options.json) {
    write_stdout(dump_json_python(build_report(), 2) + "\n");
    return 0;
  }
  print("headgate {}\n", HEADGATE_VERSION);
  if (options.build) write_stdout(build_text());
  return 0;
}

}  // namespace

void add_version(CommandLine& line) {
  auto options = std::make_shared<VersionOptions>();
  line.add("version", "Show the version, and what is built in")
      .flag("--build", options->build, "Also: compiler, options, instruction sets, embedded model")
      .flag("--json", options->json, "Everything as JSON")
      .example("headgate version --build", "what this build can do on this machine")
      .action([options] { return version(*options); });
}

}  // namespace headgate
