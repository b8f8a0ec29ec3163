// Sizes and names of KV cache types.
#include "backend/kv_layout.h"

#include <array>

#include "backend/cpu/kv_page.h"
#include "base/error.h"

namespace headgate {
namespace {

struct KvTypeRow {
  DType dtype;
  std::string_view name;
};
constexpr std::array<KvTypeRow, kKvFormats> kTypes = {{{DType::kF32, "f32"},
                                                       {DType::kF16, "f16"},
                                                       {DType::kBF16, "bf16"},
                                                       {DType::kI8, "int8"},
                                                       {DType::kQ4_0, "q4"}}};

}  // namespace

KvFormat kv_format(DType dtype) {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].dtype == dtype) return static_cast<KvFormat>(i);
  }
  fail(ErrorCode::kUnsupported,
       "key-value cache: type {}, expected one of f32, f16, bf16, int8, q4", dtype_name(dtype));
}

KvPlane kv_plane_of(const KvLayout& layout) {
  return kv_plane(kv_format(layout.dtype), layout.head_dim, layout.page_tokens);
}

int64_t KvLayout::page_bytes() const { return kv_heads * kv_plane_of(*this).bytes; }

void KvLayout::check() const {
  const KvFormat format = kv_format(dtype);
  if (format >= kKvInt8 && head_dim > kKvMostDims) {
    fail(ErrorCode::kUnsupported, "key-value cache of type {}: heads of {} dims, at most {}",
         kv_type_name(dtype), head_dim, kKvMostDims);
  }
}

void KvLayout::read(const std::byte* page, int64_t kv_head, int64_t slot, std::span<float> k,
                    std::span<float> v) const {
  HEADGATE_CHECK(static_cast<int64_t>(k.size()) == head_dim && v.size() == k.size());
  const KvPlane plane = kv_plane_of(*this);
  kv_load_token(kv_format(dtype), plane, page + kv_head * plane.bytes, slot, k.data(), v.data(),
                head_dim);
}

std::string_view kv_type_name(DType dtype) { return kTypes[kv_format(dtype)].name; }

std::optional<DType> kv_type_from_name(std::string_view name) {
  for (const KvTypeRow& row : kTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace headgate
