// Element and block types of stored tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace headgate {

// Types met in safetensors and GGUF files. Block types hold several elements in one block of bytes.
enum class DType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E8M0,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4
};

struct DTypeInfo {
  std::string_view name;  // "q4_k", "bf16": the spelling of options and reports
  int block_elements;     // 1 for plain types
  int block_bytes;
  int ggml_type;                 // id in GGUF files, -1 when GGUF has none
  std::string_view safetensors;  // "BF16", empty when safetensors has none
};

const DTypeInfo& dtype_info(DType type);
inline std::string_view dtype_name(DType type) { return dtype_info(type).name; }
std::optional<DType> dtype_from_name(std::string_view name);  // "q4_k", any case
std::optional<DType> dtype_from_ggml(int64_t ggml_type);
std::optional<DType> dtype_from_safetensors(std::string_view name);

// True for the block-quantised types (Q*, IQ*, MXFP4).
bool is_quantized(DType type);
// True for F64, F32, F16, BF16, F8_E4M3.
bool is_float(DType type);

// Bytes of a row of `elements`; `elements` must be a multiple of the block size.
int64_t row_bytes(DType type, int64_t elements);

}  // namespace headgate
