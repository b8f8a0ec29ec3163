// The table of types.
#include "tensor/dtype.h"

#include <array>
#include <cctype>

#include "base/error.h"

namespace headgate {
namespace {

constexpr std::array<DTypeInfo, 25> kTypes = {{
    {"f64", 1, 8, 28, "F64"},   {"f32", 1, 4, 0, "F32"},          {"f16", 1, 2, 1, "F16"},
    {"bf16", 1, 2, 30, "BF16"}, {"f8_e4m3", 1, 1, -1, "F8_E4M3"}, {"f8_e8m0", 1, 1, -1, "F8_E8M0"},
    {"i64", 1, 8, 27, "I64"},   {"i32", 1, 4, 26, "I32"},         {"i16", 1, 2, 25, "I16"},
    {"i8", 1, 1, 24, "I8"},     {"u8", 1, 1, -1, "U8"},           {"bool", 1, 1, -1, "BOOL"},
    {"q4_0", 32, 18, 2, ""},    {"q4_1", 32, 20, 3, ""},          {"q5_0", 32, 22, 6, ""},
    {"q5_1", 32, 24, 7, ""},    {"q8_0", 32, 34, 8, ""},          {"q2_k", 256, 84, 10, ""},
    {"q3_k", 256, 110, 11, ""}, {"q4_k", 256, 144, 12, ""},       {"q5_k", 256, 176, 13, ""},
    {"q6_k", 256, 210, 14, ""}, {"iq4_nl", 32, 18, 20, ""},       {"iq4_xs", 256, 136, 23, ""},
    {"mxfp4", 32, 17, 39, ""},
}};

static_assert(kTypes.size() == static_cast<size_t>(DType::kMXFP4) + 1);

template <typename Predicate>
std::optional<DType> find_type(Predicate matches) {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (matches(kTypes[i])) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace

const DTypeInfo& dtype_info(DType type) { return kTypes[static_cast<size_t>(type)]; }

std::optional<DType> dtype_from_name(std::string_view name) {
  return find_type([&](const DTypeInfo& info) {
    if (info.name.size() != name.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      if (std::tolower(static_cast<unsigned char>(name[i])) != info.name[i]) return false;
    }
    return true;
  });
}

std::optional<DType> dtype_from_ggml(int64_t ggml_type) {
  if (ggml_type < 0) return std::nullopt;
  return find_type([&](const DTypeInfo& info) { return info.ggml_type == ggml_type; });
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  if (name.empty()) return std::nullopt;
  return find_type([&](const DTypeInfo& info) { return info.safetensors == name; });
}

bool is_quantized(DType type) { return type >= DType::kQ4_0; }

bool is_float(DType type) { return type <= DType::kF8E4M3; }

int64_t row_bytes(DType type, int64_t elements) {
  const DTypeInfo& info = dtype_info(type);
  HEADGATE_CHECK(elements % info.block_elements == 0);
  return elements / info.block_elements * info.block_bytes;
}

}  // namespace headgate
