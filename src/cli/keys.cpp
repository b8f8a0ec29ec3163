// headgate keys: who may use the server.
#include <fmt/core.h>

#include <ctime>

#include "base/error.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/terminal.h"
#include "control/database.h"
#include "control/key_store.h"

namespace headgate {
namespace {

struct KeysOptions {
  std::string action;
  std::optional<std::string> name;
  std::vector<std::string> scopes;
  int64_t days = 0;
  std::string data;
  bool json = false;
};

KeyStore open_store(const KeysOptions& o) {
  const std::string folder = o.data.empty() ? default_state_folder() : o.data;
  return KeyStore(std::make_shared<Database>(folder + "/headgate.db"));
}

std::string date_text(int64_t seconds) {
  if (seconds == 0) return "-";
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return {text, length};
}

std::string scopes_text(const KeyInfo& key) {
  std::string out;
  for (const KeyScope scope : key.scopes)
    out += (out.empty() ? "" : ",") + std::string(key_scope_name(scope));
  return out;
}

std::string state_text(const KeyInfo& key) {
  if (key.revoked != 0) return "revoked";
  return key.is_active(static_cast<int64_t>(std::time(nullptr))) ? "active" : "expired";
}

json::object key_json(const KeyInfo& key) {
  json::array scopes;
  for (const KeyScope scope : key.scopes) scopes.emplace_back(std::string(key_scope_name(scope)));
  return {{"id", key.id},           {"name", key.name},
          {"prefix", key.prefix},   {"scopes", std::move(scopes)},
          {"created", key.created}, {"expires", key.expires},
          {"revoked", key.revoked}, {"state", state_text(key)}};
}

int create(const KeysOptions& o) {
  if (!o.name)
    fail(ErrorCode::kInvalidArgument,
         "keys create: needs a name, such as the user's or the machine's");
  if (o.days < 0 || o.days > 36500)
    fail(ErrorCode::kInvalidArgument, "--days: found {}, expected 0 to 36500", o.days);
  std::vector<KeyScope> scopes;
  for (const std::string& name : o.scopes) scopes.push_back(key_scope_from_name(name));
  if (scopes.empty()) scopes.push_back(KeyScope::kInference);
  KeyStore store = open_store(o);
  const NewKey made = store.create(*o.name, scopes, o.days * 86400);
  if (o.json) {
    json::object out = key_json(made.info);
    out["key"] = made.key;
    write_stdout(dump_json_python(out) + "\n");
    return 0;
  }
  write_stdout(made.key + "\n");
  report_note(fmt::format("this key is shown once: only its hash is kept ({}, {})", made.info.id,
                          scopes_text(made.info)));
  return 0;
}

int list(const KeysOptions& o) {
  KeyStore store = open_store(o);
  const std::vector<KeyInfo> keys = store.list();
  if (o.json) {
    json::array out;
    for (const KeyInfo& key : keys) out.push_back(key_json(key));
    write_stdout(dump_json_python(out, 2) + "\n");
    return 0;
  }
  TextTable table({1, 2, 3, 4, 5, 6});
  table.row({"id", "name", "begins with", "scopes", "state", "created", "expires"});
  for (const KeyInfo& key : keys) {
    table.row({key.id, printable(key.name), key.prefix, scopes_text(key), state_text(key),
               date_text(key.created), date_text(key.expires)});
  }
  write_stdout(table.text());
  return 0;
}

int revoke(const KeysOptions& o) {
  if (!o.name)
    fail(ErrorCode::kInvalidArgument, "keys revoke: needs the key's id, name or beginning");
  KeyStore store = open_store(o);
  const KeyInfo key = store.revoke(*o.name);
  print("revoked {} ({})\n", key.id, printable(key.name));
  return 0;
}

int keys(const KeysOptions& o) {
  if (o.action == "create") return create(o);
  if (o.action == "revoke") return revoke(o);
  return list(o);
}

}  // namespace

void add_keys(CommandLine& line) {
  auto o = std::make_shared<KeysOptions>();
  line.add("keys", "Make, list and revoke the server's API keys")
      .choice("action", o->action, {"create", "list", "revoke"},
              "create NAME, list, or revoke NAME|ID")
      .required()
      .option("name", o->name, "Name of a new key; name, id or beginning of one to revoke")
      .option("--scope", o->scopes, "inference (default), metrics or admin; repeatable")
      .option("--days", o->days, "Days until the key expires; 0: never")
      .option("--data", o->data, "Folder of the keys, as for headgate serve")
      .takes("DIR")
      .flag("--json", o->json, "As JSON")
      .example("headgate keys create laptop", "a key for clients; shown once")
      .example("headgate keys create prometheus --scope metrics",
               "a key that may only read figures")
      .action([o] { return keys(*o); });
}

}  // namespace headgate
