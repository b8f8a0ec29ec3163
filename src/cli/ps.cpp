// headgate ps: what a server has loaded, and what it is doing.
#include <fmt/core.h>

#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/http_client.h"
#include "cli/terminal.h"

namespace headgate {
namespace {

struct PsOptions {
  std::string server = "http://127.0.0.1:8000";
  std::optional<std::string> key_file;
  bool json = false;
};

double number(const json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const json::value* found =
      value.find_pointer(json::string_view(pointer.data(), pointer.size()), error);
  return found != nullptr && found->is_number() ? found->to_number<double>() : 0;
}

std::string text(const json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const json::value* found =
      value.find_pointer(json::string_view(pointer.data(), pointer.size()), error);
  if (found == nullptr || !found->is_string()) return "?";
  return printable(std::string_view(found->get_string().data(), found->get_string().size()));
}

std::string digits(const json::value& value, std::string_view pointer) {
  return format_digits(static_cast<int64_t>(number(value, pointer)));
}

std::string summary(const json::value& s) {
  TextTable table({1});
  table.row({"model", fmt::format("{}, context {} tokens", text(s, "/model/id"),
                                  digits(s, "/model/context"))});
  table.row({"state",
             fmt::format("{}, up {}", text(s, "/state"), format_seconds(number(s, "/uptime_s")))});
  table.row(
      {"requests", fmt::format("{} running, {} waiting, {} completed, {} failed, {} cancelled",
                               digits(s, "/requests/running"), digits(s, "/requests/waiting"),
                               digits(s, "/requests/completed"), digits(s, "/requests/failed"),
                               digits(s, "/requests/cancelled"))});
  table.row(
      {"tokens", fmt::format("{} of prompts, {} of them cached, {} generated, {:.1f} tok/s",
                             digits(s, "/tokens/prompt"), digits(s, "/tokens/cached"),
                             digits(s, "/tokens/generated"), number(s, "/tokens_per_second"))});
  table.row(
      {"memory", fmt::format("{} of {} for states", format_bytes(number(s, "/memory/state_bytes")),
                             format_bytes(number(s, "/memory/state_budget_bytes")))});
  return table.text();
}

// One line a model, where there is more to say than that the only one is loaded.
std::string models_table(const json::value& s) {
  const json::value* list = s.get_object().if_contains("models");
  if (list == nullptr || !list->is_array()) return {};
  const json::array& models = list->get_array();
  if (models.empty() || (models.size() == 1 && text(models[0], "/state") == "loaded")) return {};
  TextTable table({1});
  table.row({"model", "state", "context", "memory", "requests", "waiting", "unused for"});
  for (const json::value& model : models) {
    const std::string state = text(model, "/state");
    const double progress = number(model, "/progress");
    const bool idle = state == "loaded" && number(model, "/requests") == 0;
    table.row({text(model, "/id"),
               state == "loading" ? fmt::format("loading, {:.0f} %", progress * 100) : state,
               digits(model, "/context"), format_bytes(number(model, "/memory_bytes")),
               digits(model, "/requests"), digits(model, "/waiting"),
               idle ? format_seconds(number(model, "/idle_s")) : ""});
  }
  return "\n" + table.text();
}

std::string active_table(const json::value& s) {
  const json::value* list = s.get_object().if_contains("active");
  if (list == nullptr || !list->is_array() || list->get_array().empty()) return {};
  TextTable table({1, 2});
  table.row({"id", "model", "state", "age", "prompt", "cached", "generated"});
  for (const json::value& request : list->get_array()) {
    table.row({text(request, "/id"), text(request, "/model"), text(request, "/state"),
               format_seconds(number(request, "/age_s")), digits(request, "/prompt_tokens"),
               digits(request, "/cached_tokens"), digits(request, "/generated_tokens")});
  }
  return "\n" + table.text();
}

int ps(const PsOptions& o) {
  HttpClient client(o.server, client_key(o.key_file));
  const json::value status = client.get("/v1/status");
  if (o.json) {
    write_stdout(dump_json_python(status, 2) + "\n");
  } else if (status.is_object()) {
    write_stdout(summary(status) + models_table(status) + active_table(status));
  }
  return 0;
}

}  // namespace

void add_ps(CommandLine& line) {
  auto o = std::make_shared<PsOptions>();
  line.add("ps", "Show what a server has loaded and is doing")
      .option("--server", o->server, "The server's address")
      .takes("URL")
      .option("--api-key-file", o->key_file,
              "File with an API key of scope metrics; else HEADGATE_API_KEY")
      .takes("FILE")
      .flag("--json", o->json, "As JSON")
      .example("headgate ps", "the server on this machine")
      .action([o] { return ps(*o); });
}

}  // namespace headgate
