// Typed access to GGUF metadata.
#include "base/error.h"
#include "formats/gguf.h"

namespace headgate {
namespace {

[[noreturn]] void wrong_type(std::string_view key, const GgufValue& value, const char* expected) {
  fail(ErrorCode::kInvalidFile, "metadata key {}: found {}, expected {}", key,
       gguf_type_name(value.type), expected);
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  static constexpr std::string_view kNames[] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                "i32", "f32", "bool", "string", "array",
                                                "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

void GgufMetadata::set(std::string_view key, GgufValue value) {
  const auto found = index_.find(key);
  if (found != index_.end()) {
    entries_[found->second].second = std::move(value);
    return;
  }
  index_.emplace(std::string(key), entries_.size());
  entries_.emplace_back(std::string(key), std::move(value));
}

void GgufMetadata::remove(std::string_view key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const size_t position = found->second;
  index_.erase(found);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(position));
  for (auto& item : index_) {
    if (item.second > position) --item.second;
  }
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* number = std::get_if<int64_t>(&value->value);
  if (number == nullptr) wrong_type(key, *value, "an integer");
  return *number;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* real = std::get_if<double>(&value->value)) return *real;
  const auto* whole = std::get_if<int64_t>(&value->value);
  if (whole == nullptr) wrong_type(key, *value, "a number");
  return static_cast<double>(*whole);
}

std::optional<std::string> GgufMetadata::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) wrong_type(key, *value, "a string");
  return *text;
}

const std::vector<std::string>* GgufMetadata::texts(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<GgufArray>(&value->value);
  const auto* items =
      array == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&array->items);
  if (items == nullptr) wrong_type(key, *value, "an array of strings");
  return items;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* integer = std::get_if<int64_t>(&value->value))
    return std::vector<int64_t>{*integer};
  const auto* array = std::get_if<GgufArray>(&value->value);
  const auto* items = array == nullptr ? nullptr : std::get_if<std::vector<int64_t>>(&array->items);
  if (items == nullptr) wrong_type(key, *value, "an integer or an array of integers");
  return *items;
}

void GgufMetadata::set_u32(std::string_view key, int64_t value) {
  HEADGATE_CHECK(value >= 0 && value <= int64_t{UINT32_MAX});
  set(key, {GgufType::kU32, value});
}

void GgufMetadata::set_f32(std::string_view key, double value) {
  set(key, {GgufType::kF32, static_cast<double>(static_cast<float>(value))});
}

void GgufMetadata::set_bool(std::string_view key, bool value) {
  set(key, {GgufType::kBool, static_cast<int64_t>(value)});
}

void GgufMetadata::set_text(std::string_view key, std::string value) {
  set(key, {GgufType::kString, std::move(value)});
}

void GgufMetadata::set_texts(std::string_view key, std::vector<std::string> values) {
  set(key, {GgufType::kArray, GgufArray{GgufType::kString, std::move(values)}});
}

void GgufMetadata::set_integers(std::string_view key, GgufType element,
                                std::vector<int64_t> values) {
  set(key, {GgufType::kArray, GgufArray{element, std::move(values)}});
}

}  // namespace headgate
