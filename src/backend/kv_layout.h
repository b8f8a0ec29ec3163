// How cached keys and values are kept: their type, and the size of a page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tensor/dtype.h"

namespace headgate {

// A page holds the keys and values of `page_tokens` tokens of one layer, head after head, in tiles
// that only the backend knows (kernels/kv_tile.h). Pages are 64-byte aligned.
//   f32, f16, bf16  as they are, rounded
//   int8 (kI8)      8 bits, one fp32 scale for each token and head
//   q4 (kQ4_0)      4 bits, one fp16 scale for every 32 dims of a token
// Root mean square errors of normally distributed values: bf16 0.17 %, int8 0.7 %, q4 8 %.
struct KvLayout {
  DType dtype = DType::kBF16;  // kF32, kF16, kBF16, kI8 or kQ4_0
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_tokens = 256;

  int64_t page_bytes() const;
  // Throws kUnsupported for a type or shape that cannot be kept so.
  void check() const;
  // The key and value [head_dim] of a token as attention will see them; `slot` counts within the
  // page. For tests and debugging.
  void read(const std::byte* page, int64_t kv_head, int64_t slot, std::span<float> k,
            std::span<float> v) const;
};

// "f32", "f16", "bf16", "int8", "q4": the spelling of options and reports.
std::string_view kv_type_name(DType dtype);
std::optional<DType> kv_type_from_name(std::string_view name);

}  // namespace headgate
