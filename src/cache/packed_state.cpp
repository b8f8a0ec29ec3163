// Rounding of delta states, group by group.
#include "cache/packed_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/half.h"

namespace headgate {
namespace {

constexpr int64_t kGroup = 64;
constexpr float kCodes = 127.0f;
constexpr float kSmallest = 1e-30f;

int64_t groups_of(int64_t floats) { return (floats + kGroup - 1) / kGroup; }

int64_t delta_bytes(int64_t floats, StateFormat format) {
  if (format == StateFormat::kBf16) return floats * 2;
  return floats + groups_of(floats) * static_cast<int64_t>(sizeof(float));
}

// Scales of all groups, then codes.
void pack_int8(const float* from, int64_t floats, std::byte* to) {
  std::byte* codes = to + groups_of(floats) * static_cast<int64_t>(sizeof(float));
  for (int64_t first = 0; first < floats; first += kGroup) {
    const int64_t end = std::min(first + kGroup, floats);
    float largest = 0;
    for (int64_t i = first; i < end; ++i) largest = std::max(largest, std::fabs(from[i]));
    // Beyond what has an inverse: nothing, beside anything that a model computes.
    if (largest < kSmallest) largest = 0;
    const float scale = largest / kCodes;
    std::memcpy(to, &scale, sizeof scale);
    to += sizeof scale;
    const float inverse = scale > 0 ? kCodes / largest : 0;
    for (int64_t i = first; i < end; ++i)
      codes[i] = static_cast<std::byte>(static_cast<int8_t>(std::lrintf(from[i] * inverse)));
  }
}

void unpack_int8(const std::byte* from, int64_t floats, float* to) {
  const std::byte* codes = from + groups_of(floats) * static_cast<int64_t>(sizeof(float));
  for (int64_t first = 0; first < floats; first += kGroup) {
    float scale = 0;
    std::memcpy(&scale, from, sizeof scale);
    from += sizeof scale;
    const int64_t end = std::min(first + kGroup, floats);
    for (int64_t i = first; i < end; ++i)
      to[i] = scale * static_cast<float>(static_cast<int8_t>(codes[i]));
  }
}

void pack_bf16(const float* from, int64_t floats, std::byte* to) {
  for (int64_t i = 0; i < floats; ++i) {
    const uint16_t half = float_to_bf16(from[i]);
    std::memcpy(to + 2 * i, &half, sizeof half);
  }
}

void unpack_bf16(const std::byte* from, int64_t floats, float* to) {
  for (int64_t i = 0; i < floats; ++i) {
    uint16_t half = 0;
    std::memcpy(&half, from + 2 * i, sizeof half);
    to[i] = bf16_to_float(half);
  }
}

}  // namespace

int64_t packed_state_bytes(const StateShape& shape, StateFormat format) {
  if (format == StateFormat::kF32) return 0;
  const int64_t conv = shape.conv_floats * static_cast<int64_t>(sizeof(float));
  return shape.recurrent_layers * (conv + delta_bytes(shape.delta_floats, format));
}

void pack_state(const StateShape& shape, StateFormat format, const float* slot, std::byte* packed) {
  HEADGATE_CHECK(format != StateFormat::kF32);
  const auto conv = static_cast<size_t>(shape.conv_floats) * sizeof(float);
  for (int64_t layer = 0; layer < shape.recurrent_layers; ++layer) {
    if (conv > 0) std::memcpy(packed, slot, conv);
    const auto pack = format == StateFormat::kBf16 ? pack_bf16 : pack_int8;
    pack(slot + shape.conv_floats, shape.delta_floats, packed + conv);
    packed += static_cast<int64_t>(conv) + delta_bytes(shape.delta_floats, format);
    slot += shape.slot_floats();
  }
}

void unpack_state(const StateShape& shape, StateFormat format, const std::byte* packed,
                  float* slot) {
  HEADGATE_CHECK(format != StateFormat::kF32);
  const auto conv = static_cast<size_t>(shape.conv_floats) * sizeof(float);
  for (int64_t layer = 0; layer < shape.recurrent_layers; ++layer) {
    if (conv > 0) std::memcpy(slot, packed, conv);
    const auto unpack = format == StateFormat::kBf16 ? unpack_bf16 : unpack_int8;
    unpack(packed + conv, shape.delta_floats, slot + shape.conv_floats);
    packed += static_cast<int64_t>(conv) + delta_bytes(shape.delta_floats, format);
    slot += shape.slot_floats();
  }
}

}  // namespace headgate
