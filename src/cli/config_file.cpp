// Reading and writing of settings as TOML.
#include "cli/config_file.h"

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace headgate {
namespace {

std::string value_text(const toml::node& node, const std::string& path, const std::string& key) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<int64_t>()) return std::to_string(*number);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  fail(ErrorCode::kInvalidFile,
       "{}: {}: expected a text, a number, true or false, or an array of them", path, key);
}

// "name=path,adapter=dir" of a model's table {path = "...", adapter = "..."}, or of its path alone.
std::string model_text(const std::string& name, const toml::node& node, const std::string& path) {
  const std::string where = "models." + name;
  const toml::table* table = node.as_table();
  if (table == nullptr) return name + "=" + value_text(node, path, where);
  const toml::node* file = table->get("path");
  if (file == nullptr) fail(ErrorCode::kInvalidFile, "{}: {}: path: missing", path, where);
  std::string out = name + "=" + value_text(*file, path, where + ".path");
  for (const auto& entry : *table) {
    const std::string key(entry.first.str());
    if (key == "path") continue;
    const toml::array* list = entry.second.as_array();
    const size_t count = list != nullptr ? list->size() : 1;
    for (size_t i = 0; i < count; ++i) {
      const toml::node& item = list != nullptr ? *list->get(i) : entry.second;
      out += "," + key + "=" + value_text(item, path, where + "." + key);
    }
  }
  return out;
}

// The table [models] as values of --model, in the order of the file.
Setting models_setting(const toml::table& models, const std::string& path) {
  std::vector<std::pair<toml::source_index, std::string>> lines;
  for (const auto& entry : models) {
    lines.emplace_back(entry.second.source().begin.line,
                       model_text(std::string(entry.first.str()), entry.second, path));
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Setting setting;
  setting.name = "model";
  for (auto& line : lines) setting.values.push_back(std::move(line.second));
  return setting;
}

bool is_bare(const std::string& text) {
  if (text == "true" || text == "false") return true;
  int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

std::string quoted(const std::string& text) {
  if (is_bare(text)) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<Setting> read_settings_file(const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(read_text_file(path, /*limit_bytes=*/1 << 20), path);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::kInvalidFile, "{}:{}:{}: {}", path, error.source().begin.line,
         error.source().begin.column, error.description());
  }
  std::vector<Setting> out;
  for (const auto& entry : table) {
    if (const toml::table* models = entry.second.as_table();
        entry.first.str() == "models" && models) {
      if (table.contains("model"))
        fail(ErrorCode::kInvalidFile, "{}: found both model and [models], expected one", path);
      out.push_back(models_setting(*models, path));
      continue;
    }
    Setting setting;
    setting.name = std::string(entry.first.str());
    std::replace(setting.name.begin(), setting.name.end(), '_', '-');
    if (const toml::array* list = entry.second.as_array()) {
      for (const toml::node& item : *list)
        setting.values.push_back(value_text(item, path, setting.name));
    } else {
      setting.values.push_back(value_text(entry.second, path, setting.name));
    }
    out.push_back(std::move(setting));
  }
  return out;
}

std::string environment_name(const std::string& flag) {
  std::string out = "HEADGATE_";
  for (const char c : flag)
    out += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

std::string settings_line(const Setting& setting, bool repeatable) {
  std::string key = setting.name;
  std::replace(key.begin(), key.end(), '-', '_');
  if (!repeatable)
    return key + " = " + quoted(setting.values.empty() ? "" : setting.values.front());
  std::string list;
  for (const std::string& value : setting.values)
    list += (list.empty() ? "" : ", ") + quoted(value);
  return key + " = [" + list + "]";
}

std::string nearest_option(const std::string& name, const std::vector<std::string>& names) {
  std::string best;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : names) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace headgate
