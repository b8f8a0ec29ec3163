// API keys: who may use the server, and for what.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate {

class Database;

enum class KeyScope { kInference, kMetrics, kAdmin };
// "inference", "metrics", "admin".
std::string_view key_scope_name(KeyScope scope);
// Throws kInvalidArgument for another word.
KeyScope key_scope_from_name(std::string_view name);

struct KeyInfo {
  std::string id;      // "key_..."; not secret
  std::string name;    // what its owner calls it
  std::string prefix;  // first characters of the key, to tell keys apart
  std::vector<KeyScope> scopes;
  int64_t created = 0;  // seconds since 1970
  int64_t expires = 0;  // 0: never
  int64_t revoked = 0;  // 0: not

  bool is_active(int64_t now) const { return revoked == 0 && (expires == 0 || now < expires); }
  // kAdmin includes the others.
  bool allows(KeyScope scope) const;
};

struct NewKey {
  KeyInfo info;
  std::string key;  // shown once: only its hash is kept
};

// Thread rule: any thread. find() takes microseconds and reads no file.
class KeyStore {
 public:
  // Throws what Database throws.
  explicit KeyStore(std::shared_ptr<Database> database);
  ~KeyStore();

  // `lifetime_seconds` 0: never expires. Throws kInvalidArgument for an empty or long name or no
  // scopes.
  NewKey create(const std::string& name, const std::vector<KeyScope>& scopes,
                int64_t lifetime_seconds);
  std::vector<KeyInfo> list();
  // By id, name or prefix; returns the keys revoked. Throws kNotFound when there is none, and
  // kInvalidArgument when several match.
  KeyInfo revoke(const std::string& which);

  // The active key with this text.
  std::optional<KeyInfo> find(std::string_view key) const;
  bool has_active_keys() const;
  // Looks whether another process has changed the file. Call about once a second.
  void refresh();

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

}  // namespace headgate
