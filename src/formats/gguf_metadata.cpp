// Typed access to GGUF metadata.
#include <limits>

#include "base/error.h"
#include "formats/gguf.h"

namespace headgate {
namespace {

[[noreturn]] void wrong_type(std::string_view key, std::string_view expected) {
  fail(ErrorCode::kInvalidFile, "GGUF key {}: found another type, expected {}", key, expected);
}

}  // namespace

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

void GgufMetadata::set(std::string_view key, GgufValue value) {
  const auto it = index_.find(key);
  if (it != index_.end()) {
    entries_[it->second].second = std::move(value);
    return;
  }
  index_.emplace(std::string(key), entries_.size());
  entries_.emplace_back(std::string(key), std::move(value));
}

void GgufMetadata::remove(std::string_view key) {
  const auto it = index_.find(key);
  if (it == index_.end()) return;
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(it->second));
  index_.clear();
  for (size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].first, i);
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* integer = std::get_if<int64_t>(&value->value);
  if (integer == nullptr) wrong_type(key, "an integer");
  return *integer;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* integer = std::get_if<int64_t>(&value->value))
    return static_cast<double>(*integer);
  const auto* number = std::get_if<double>(&value->value);
  if (number == nullptr) wrong_type(key, "a number");
  return *number;
}

std::optional<std::string> GgufMetadata::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) wrong_type(key, "a string");
  return *text;
}

const std::vector<std::string>* GgufMetadata::texts(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<GgufArray>(&value->value);
  const auto* texts =
      array == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&array->items);
  if (texts == nullptr) wrong_type(key, "an array of strings");
  return texts;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(&value->value);
  const auto* items = array == nullptr ? nullptr : std::get_if<std::vector<int64_t>>(&array->items);
  if (items == nullptr) wrong_type(key, "an array of integers");
  return *items;
}

void GgufMetadata::set_u32(std::string_view key, int64_t value) {
  HEADGATE_CHECK(value >= 0 && value <= std::numeric_limits<uint32_t>::max());
  set(key, {GgufType::kU32, value});
}

void GgufMetadata::set_f32(std::string_view key, double value) {
  set(key, {GgufType::kF32, value});
}

void GgufMetadata::set_bool(std::string_view key, bool value) {
  set(key, {GgufType::kBool, static_cast<int64_t>(value)});
}

void GgufMetadata::set_text(std::string_view key, std::string value) {
  set(key, {GgufType::kString, std::move(value)});
}

}  // namespace headgate
