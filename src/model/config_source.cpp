// Typed, range-checked look-ups in config.json and GGUF metadata.
#include "model/config_source.h"

#include <fmt/core.h>

#include <cmath>

#include "base/error.h"
#include "base/json.h"

namespace headgate {
namespace {

// A value as it stands in the file, short enough for a message.
std::string preview(const json::value& value) {
  if (value.is_object()) return "an object";
  if (value.is_array() && value.get_array().size() > 16)
    return fmt::format("a list of {}", value.get_array().size());
  std::string text = dump_json(value);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

// Integers may be written as "4096.0"; anything else is not one.
std::optional<int64_t> to_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_double()) {
    const double number = value.get_double();
    if (std::abs(number) < 0x1p53 && number == std::floor(number))
      return static_cast<int64_t>(number);
  }
  return std::nullopt;
}

std::optional<double> to_number(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_double()) return value.get_double();
  return std::nullopt;
}

std::string text_of(const json::value& value) { return std::string(value.get_string()); }

const json::object* find_object(const json::object& parent, std::string_view key) {
  const json::value* value = parent.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

}  // namespace

ConfigSource::ConfigSource(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {
  file_ = checkpoint.path;
  if (checkpoint.format == CheckpointFormat::kGguf) {
    types_.push_back(checkpoint.gguf.text("general.architecture").value_or(""));
    prefix_ = types_.front() + ".";
    return;
  }
  file_ += "/config.json";
  json_ = &checkpoint.config;
  if (const json::object* text = find_object(checkpoint.config, "text_config")) {
    json_outer_ = json_;
    json_ = text;
  }
  for (const json::object* object : {json_outer_, json_}) {
    const json::value* type = object == nullptr ? nullptr : object->if_contains("model_type");
    if (type != nullptr && type->is_string()) types_.push_back(text_of(*type));
  }
}

std::optional<ConfigSource> ConfigSource::member(std::string_view json_key) const {
  const json::value* value = find_json({json_key, ""});
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) reject({json_key, ""}, preview(*value), "an object");
  ConfigSource inner;
  inner.checkpoint_ = checkpoint_;
  inner.json_ = &value->get_object();
  inner.file_ = file_;
  inner.prefix_ = prefix_ + std::string(json_key) + ".";
  return inner;
}

const json::value* ConfigSource::find_json(ConfigKey key) const {
  if (key.json.empty()) return nullptr;
  for (const json::object* object : {json_, json_outer_}) {
    const json::value* value = object == nullptr ? nullptr : object->if_contains(key.json);
    if (value != nullptr && !value->is_null()) return value;
  }
  return nullptr;
}

std::string ConfigSource::gguf_key(ConfigKey key) const { return prefix_ + std::string(key.gguf); }

std::string ConfigSource::describe(ConfigKey key) const {
  return prefix_ + std::string(is_gguf() ? key.gguf : key.json);
}

void ConfigSource::reject(ConfigKey key, std::string_view found, std::string_view expected) const {
  fail(ErrorCode::kInvalidFile, "{}: {}: found {}, expected {}", file_, describe(key), found,
       expected);
}

void ConfigSource::check_range(ConfigKey key, int64_t value, IntegerRange range) const {
  if (value < range.least || value > range.most) {
    reject(key, std::to_string(value), fmt::format("{} to {}", range.least, range.most));
  }
}

std::optional<int64_t> ConfigSource::find_integer(ConfigKey key, IntegerRange range) const {
  std::optional<int64_t> found;
  if (is_gguf()) {
    if (!key.gguf.empty()) found = checkpoint_->gguf.integer(gguf_key(key));
  } else if (const json::value* value = find_json(key)) {
    found = to_integer(*value);
    if (!found) reject(key, preview(*value), "an integer");
  }
  if (found) check_range(key, *found, range);
  return found;
}

int64_t ConfigSource::integer(ConfigKey key, IntegerRange range) const {
  const std::optional<int64_t> found = find_integer(key, range);
  if (!found) reject(key, "nothing", "an integer");
  return *found;
}

int64_t ConfigSource::integer_or(ConfigKey key, int64_t fallback, IntegerRange range) const {
  return find_integer(key, range).value_or(fallback);
}

std::optional<double> ConfigSource::find_number(ConfigKey key, double least, double most) const {
  std::optional<double> found;
  if (is_gguf()) {
    if (!key.gguf.empty()) found = checkpoint_->gguf.number(gguf_key(key));
  } else if (const json::value* value = find_json(key)) {
    found = to_number(*value);
    if (!found) reject(key, preview(*value), "a number");
  }
  // Written so that NaN is refused.
  if (found && !(*found >= least && *found <= most))
    reject(key, fmt::format("{}", *found), fmt::format("{} to {}", least, most));
  return found;
}

double ConfigSource::number_or(ConfigKey key, double fallback, double least, double most) const {
  return find_number(key, least, most).value_or(fallback);
}

bool ConfigSource::flag_or(ConfigKey key, bool fallback) const {
  if (is_gguf()) {
    if (key.gguf.empty()) return fallback;
    return checkpoint_->gguf.integer(gguf_key(key)).value_or(fallback ? 1 : 0) != 0;
  }
  const json::value* value = find_json(key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) reject(key, preview(*value), "true or false");
  return value->get_bool();
}

std::optional<std::string> ConfigSource::find_text(ConfigKey key) const {
  if (is_gguf()) return key.gguf.empty() ? std::nullopt : checkpoint_->gguf.text(gguf_key(key));
  const json::value* value = find_json(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) reject(key, preview(*value), "a string");
  return text_of(*value);
}

std::optional<std::vector<int64_t>> ConfigSource::find_integers(ConfigKey key) const {
  if (is_gguf()) {
    if (key.gguf.empty()) return std::nullopt;
    return checkpoint_->gguf.integers(gguf_key(key));
  }
  const json::value* value = find_json(key);
  if (value == nullptr) return std::nullopt;
  std::vector<int64_t> out;
  const auto add = [&](const json::value& item) {
    const std::optional<int64_t> integer = to_integer(item);
    if (!integer) reject(key, preview(item), "an integer");
    out.push_back(*integer);
  };
  if (value->is_array()) {
    for (const json::value& item : value->get_array()) add(item);
  } else {
    add(*value);
  }
  return out;
}

std::optional<std::vector<std::string>> ConfigSource::find_texts(ConfigKey key) const {
  const json::value* value = is_gguf() ? nullptr : find_json(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) reject(key, preview(*value), "a list of strings");
  std::vector<std::string> out;
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) reject(key, preview(item), "a string");
    out.push_back(text_of(item));
  }
  return out;
}

}  // namespace headgate
