// Keys in SQLite, with a copy in memory that answers requests.
#include "control/key_store.h"

#include <ctime>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "control/database.h"
#include "control/secret.h"

namespace headgate {
namespace {

constexpr size_t kNameBytes = 200;

struct ScopeName {
  KeyScope scope;
  std::string_view name;
};
constexpr ScopeName kScopes[] = {{KeyScope::kInference, "inference"},
                                 {KeyScope::kMetrics, "metrics"},
                                 {KeyScope::kAdmin, "admin"}};

const std::vector<std::string>& migrations() {
  static const std::vector<std::string> scripts = {
      "CREATE TABLE api_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, prefix TEXT NOT NULL,"
      " hash TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL, created INTEGER NOT NULL,"
      " expires INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0) STRICT"};
  return scripts;
}

std::string join_scopes(const std::vector<KeyScope>& scopes) {
  std::string out;
  for (const KeyScope scope : scopes)
    out += (out.empty() ? "" : ",") + std::string(key_scope_name(scope));
  return out;
}

std::vector<KeyScope> split_scopes(std::string_view text) {
  std::vector<KeyScope> out;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    out.push_back(key_scope_from_name(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

int64_t now_seconds() { return static_cast<int64_t>(std::time(nullptr)); }

constexpr std::string_view kColumns = "id, name, prefix, scopes, created, expires, revoked, hash";

KeyInfo read_key(const SqlRow& row) {
  KeyInfo info;
  info.id = row.text(0);
  info.name = row.text(1);
  info.prefix = row.text(2);
  info.scopes = split_scopes(row.text(3));
  info.created = row.integer(4);
  info.expires = row.integer(5);
  info.revoked = row.integer(6);
  return info;
}

}  // namespace

std::string_view key_scope_name(KeyScope scope) {
  for (const ScopeName& entry : kScopes)
    if (entry.scope == scope) return entry.name;
  return "";
}

KeyScope key_scope_from_name(std::string_view name) {
  for (const ScopeName& entry : kScopes)
    if (entry.name == name) return entry.scope;
  fail(ErrorCode::kInvalidArgument, "scope: found {}, expected inference, metrics or admin", name);
}

bool KeyInfo::allows(KeyScope scope) const {
  for (const KeyScope own : scopes)
    if (own == scope || own == KeyScope::kAdmin) return true;
  return false;
}

struct KeyStore::Data {
  struct Entry {
    std::string hash;
    KeyInfo info;
  };
  std::shared_ptr<Database> database;
  mutable std::shared_mutex mutex;
  // By the hash's first half: finding the place tells nothing that helps to guess a key, the second
  // half is compared in constant time.
  std::unordered_map<std::string, Entry> active;
  int64_t version = -1;

  void load() {
    std::unordered_map<std::string, Entry> fresh;
    database->query("SELECT " + std::string(kColumns) + " FROM api_keys WHERE revoked = 0", {},
                    [&](const SqlRow& row) {
                      const std::string hash = row.text(7);
                      fresh[hash.substr(0, 32)] = {hash, read_key(row)};
                    });
    const std::unique_lock lock(mutex);
    active = std::move(fresh);
  }
};

KeyStore::KeyStore(std::shared_ptr<Database> database) : data_(std::make_unique<Data>()) {
  data_->database = std::move(database);
  data_->database->migrate("api_keys", migrations());
  data_->version = data_->database->version();
  data_->load();
}

KeyStore::~KeyStore() = default;

NewKey KeyStore::create(const std::string& name, const std::vector<KeyScope>& scopes,
                        int64_t lifetime_seconds) {
  if (name.empty() || name.size() > kNameBytes || !is_valid_utf8(name))
    fail(ErrorCode::kInvalidArgument, "name of a key: expected 1 to {} bytes of text", kNameBytes);
  if (scopes.empty()) fail(ErrorCode::kInvalidArgument, "a key needs at least one scope");
  if (lifetime_seconds < 0)
    fail(ErrorCode::kInvalidArgument, "lifetime of a key: found {}, expected 0 or more",
         lifetime_seconds);
  NewKey made;
  made.key = make_api_key();
  made.info.id = "key_" + sha256_hex(random_token(16)).substr(0, 16);
  made.info.name = name;
  made.info.prefix = api_key_prefix(made.key);
  made.info.scopes = scopes;
  made.info.created = now_seconds();
  made.info.expires = lifetime_seconds > 0 ? made.info.created + lifetime_seconds : 0;
  data_->database->run(
      "INSERT INTO api_keys (id, name, prefix, hash, scopes, created, expires) VALUES (?, ?, ?, ?, "
      "?, ?, ?)",
      {made.info.id, name, made.info.prefix, sha256_hex(made.key), join_scopes(scopes),
       made.info.created, made.info.expires});
  data_->load();
  return made;
}

std::vector<KeyInfo> KeyStore::list() {
  std::vector<KeyInfo> out;
  data_->database->query("SELECT " + std::string(kColumns) + " FROM api_keys ORDER BY created, id",
                         {}, [&](const SqlRow& row) { out.push_back(read_key(row)); });
  return out;
}

KeyInfo KeyStore::revoke(const std::string& which) {
  std::vector<KeyInfo> matches;
  for (KeyInfo& key : list())
    if (key.revoked == 0 && (key.id == which || key.name == which || key.prefix == which))
      matches.push_back(std::move(key));
  if (matches.empty())
    fail(ErrorCode::kNotFound, "no active key {}: see headgate keys list", which);
  if (matches.size() > 1) {
    fail(ErrorCode::kInvalidArgument, "{} keys are called {}: name the one by its id",
         matches.size(), which);
  }
  KeyInfo key = std::move(matches.front());
  key.revoked = now_seconds();
  data_->database->run("UPDATE api_keys SET revoked = ? WHERE id = ?", {key.revoked, key.id});
  data_->load();
  return key;
}

std::optional<KeyInfo> KeyStore::find(std::string_view key) const {
  if (!is_well_formed_api_key(key)) return std::nullopt;
  const std::string hash = sha256_hex(key);
  const std::shared_lock lock(data_->mutex);
  const auto found = data_->active.find(hash.substr(0, 32));
  if (found == data_->active.end() || !equal_secrets(found->second.hash, hash)) return std::nullopt;
  if (!found->second.info.is_active(now_seconds())) return std::nullopt;
  return found->second.info;
}

bool KeyStore::has_active_keys() const {
  const std::shared_lock lock(data_->mutex);
  for (const auto& entry : data_->active)
    if (entry.second.info.is_active(now_seconds())) return true;
  return false;
}

void KeyStore::refresh() {
  const int64_t version = data_->database->version();
  if (version == data_->version) return;
  data_->version = version;
  data_->load();
}

}  // namespace headgate
