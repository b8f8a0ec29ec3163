// Configuration values by key, from config.json or GGUF metadata, checked against their range.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace headgate {

// One setting under its two names. GGUF names are relative to the architecture ("block_count" means
// "qwen3next.block_count"). Empty: files of this kind do not have it.
struct ConfigKey {
  std::string_view json;
  std::string_view gguf;
};

struct IntegerRange {
  int64_t least = 0;
  int64_t most = std::numeric_limits<int64_t>::max();
};

// Reads one checkpoint's configuration, which must outlive it. Absent and null are the same. Every
// function throws kInvalidFile (file, key, found, expected) for a value of the wrong type or out of
// range.
class ConfigSource {
 public:
  explicit ConfigSource(const Checkpoint& checkpoint);

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  bool is_gguf() const { return json_ == nullptr; }
  // model_type of config.json (of the whole model and of its text part) or the GGUF architecture.
  const std::vector<std::string>& types() const { return types_; }
  const std::string& file() const { return file_; }

  std::optional<int64_t> find_integer(ConfigKey key, IntegerRange range) const;
  int64_t integer(ConfigKey key, IntegerRange range) const;  // throws when absent
  int64_t integer_or(ConfigKey key, int64_t fallback, IntegerRange range) const;
  std::optional<double> find_number(ConfigKey key, double least, double most) const;
  double number_or(ConfigKey key, double fallback, double least, double most) const;
  bool flag_or(ConfigKey key, bool fallback) const;
  std::optional<std::string> find_text(ConfigKey key) const;
  // One integer or a list of them; GGUF bools count as 0 and 1.
  std::optional<std::vector<int64_t>> find_integers(ConfigKey key) const;
  std::optional<std::vector<std::string>> find_texts(ConfigKey key) const;

  // A source that reads the members of an object of this one ("rope_scaling"); nullopt when absent.
  // JSON only.
  std::optional<ConfigSource> member(std::string_view json_key) const;

  [[noreturn]] void reject(ConfigKey key, std::string_view found, std::string_view expected) const;

 private:
  ConfigSource() = default;
  const json::value* find_json(ConfigKey key) const;
  std::string gguf_key(ConfigKey key) const;
  std::string describe(ConfigKey key) const;
  void check_range(ConfigKey key, int64_t value, IntegerRange range) const;

  const Checkpoint* checkpoint_ = nullptr;
  const json::object* json_ = nullptr;        // null for GGUF
  const json::object* json_outer_ = nullptr;  // the whole config.json when the text part is nested
  std::string file_, prefix_;
  std::vector<std::string> types_;
};

}  // namespace headgate
