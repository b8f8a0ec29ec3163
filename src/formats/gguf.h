// GGUF containers, versions 2 and 3: typed metadata and tensors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace headgate {

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12
};

std::string_view gguf_type_name(GgufType type);  // "u32", "string"

// An array keeps its element type, also when empty. Integers and bools are widened to int64 (u64
// above 2^63 - 1 is kept bit for bit in the int64), f32 to double.
struct GgufArray {
  GgufType element = GgufType::kU32;
  std::variant<std::vector<int64_t>, std::vector<double>, std::vector<std::string>,
               std::vector<GgufArray>>
      items;
};

struct GgufValue {
  GgufType type = GgufType::kU32;
  std::variant<int64_t, double, std::string, GgufArray> value;
};

// Metadata in file order, so that a file can be written back byte for byte.
class GgufMetadata {
 public:
  bool empty() const { return entries_.empty(); }
  const std::vector<std::pair<std::string, GgufValue>>& entries() const { return entries_; }
  const GgufValue* find(std::string_view key) const;
  void set(std::string_view key, GgufValue value);  // replaces in place or appends
  void remove(std::string_view key);

  // Typed access: nullopt when the key is absent, Error(kInvalidFile) naming the key when its type
  // does not fit.
  std::optional<int64_t> integer(std::string_view key) const;  // any integer type or bool
  std::optional<double> number(std::string_view key) const;    // any integer or float type
  std::optional<std::string> text(std::string_view key) const;
  const std::vector<std::string>* texts(std::string_view key) const;  // nullptr when absent
  std::optional<std::vector<int64_t>> integers(
      std::string_view key) const;  // one integer counts as a list

  // Convenience for writers.
  void set_u32(std::string_view key, int64_t value);
  void set_f32(std::string_view key, double value);
  void set_bool(std::string_view key, bool value);
  void set_text(std::string_view key, std::string value);
  void set_texts(std::string_view key, std::vector<std::string> values);
  void set_integers(std::string_view key, GgufType element, std::vector<int64_t> values);

 private:
  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

// Default of the key general.alignment.
inline constexpr int64_t kGgufAlignment = 32;

// The name of a tensor type number for messages: "IQ2_XXS (16)", "unknown (77)".
std::string ggml_type_label(int64_t ggml_type);

}  // namespace headgate
