// Options of a command from the environment and from a TOML file: flag = HEADGATE_FLAG = key.
#pragma once

#include <string>
#include <vector>

namespace headgate {

struct Setting {
  std::string name;                 // as the flag: "max-running"
  std::vector<std::string> values;  // several of a repeatable option
};

// The keys of a TOML file; a table [models] of names and paths, or tables of path and settings, is
// the setting "model". Throws kInvalidFile naming line and column, and for values that no
// option can have (tables, dates).
std::vector<Setting> read_settings_file(const std::string& path);

// "HEADGATE_MAX_RUNNING" of "max-running".
std::string environment_name(const std::string& flag);

// One line of a TOML file: numbers and booleans bare, texts quoted, several values as an array.
std::string settings_line(const Setting& setting, bool repeatable);

// Of `names` the one nearest to `name`, empty when none is near.
std::string nearest_option(const std::string& name, const std::vector<std::string>& names);

}  // namespace headgate
