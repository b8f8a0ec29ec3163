// Writing and reading single tokens of the KV tiles.
#include "kernels/kv_tile.h"

#include <math.h>
#include <string.h>

#include "tensor/half.h"

namespace headgate {
namespace {

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

constexpr int64_t kBits[kKvFormats] = {32, 16, 16, 8, 4};

// Where (depth, column) lies in a tile, in elements; of 4-bit codes, the byte.
int64_t place(KvFormat format, int64_t depth, int64_t column) {
  switch (format) {
    case kKvBF16:
      return depth / 2 * 32 + column * 2 + depth % 2;
    case kKvInt8:
      return depth / 4 * 64 + column * 4 + depth % 4;
    case kKvQ4:
      return (depth / 32 * 4 + depth % 16 / 4) * 64 + column * 4 + depth % 4;
    default:
      return depth * kKvColumns + column;
  }
}

void set_nibble(uint8_t* tile, int64_t depth, int64_t column, int code) {
  uint8_t& byte = tile[place(kKvQ4, depth, column)];
  const int shift = depth % 32 < 16 ? 0 : 4;
  byte = static_cast<uint8_t>((byte & (0xf0 >> shift)) | (code << shift));
}

int nibble(const uint8_t* tile, int64_t depth, int64_t column) {
  return tile[place(kKvQ4, depth, column)] >> (depth % 32 < 16 ? 0 : 4) & 15;
}

void set_float(KvFormat format, void* tile, int64_t depth, int64_t column, float x) {
  const int64_t at = place(format, depth, column);
  if (format == kKvF32) static_cast<float*>(tile)[at] = x;
  if (format == kKvF16) static_cast<uint16_t*>(tile)[at] = float_to_fp16(x);
  if (format == kKvBF16) static_cast<uint16_t*>(tile)[at] = float_to_bf16(x);
}

float get_float(KvFormat format, const void* tile, int64_t depth, int64_t column) {
  const int64_t at = place(format, depth, column);
  if (format == kKvF32) return static_cast<const float*>(tile)[at];
  const uint16_t h = static_cast<const uint16_t*>(tile)[at];
  return format == kKvF16 ? fp16_to_float(h) : bf16_to_float(h);
}

// codes = round(x / scale), |codes| <= 127; returns the scale.
float quantize_int8(int8_t* codes, const float* x, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = fmaxf(largest, fabsf(x[i]));
  const float scale = largest / 127.0f;
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  for (int64_t i = 0; i < n; ++i) codes[i] = static_cast<int8_t>(lrintf(x[i] * inverse));
  return scale;
}

// Codes 0..15 of n <= 32 values, x ~ scale * (2 code - 15), for a given scale > 0; returns the sum
// of squared errors.
float codes_for(uint8_t* codes, const float* x, int64_t n, float scale) {
  const float inverse = 0.5f / scale;
  float error = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float code = fminf(fmaxf(rintf(x[i] * inverse + 7.5f), 0.0f), 15.0f);
    const float off = x[i] - scale * (2.0f * code - 15.0f);
    error += off * off;
    codes[i] = static_cast<uint8_t>(code);
  }
  return error;
}

// Chooses the scale of n <= 32 values among a few that cut off the largest; returns it as fp16.
uint16_t quantize_group(uint8_t* codes, const float* x, int64_t n) {
  constexpr float kCuts[] = {1.0f, 0.93f, 0.86f, 0.79f};
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = fmaxf(largest, fabsf(x[i]));
  uint16_t best = 0;
  float least = INFINITY;
  for (const float cut : kCuts) {
    const uint16_t scale = float_to_fp16(largest * cut / 15.0f);
    if (fp16_to_float(scale) == 0) break;  // so small that it is kept as zero
    uint8_t tried[kKvGroup];
    const float error = codes_for(tried, x, n, fp16_to_float(scale));
    if (!(error < least)) continue;
    least = error;
    best = scale;
    memcpy(codes, tried, static_cast<size_t>(n));
  }
  return best;
}

struct Head {
  const KvPlane& plane;
  uint8_t* bytes;
  int64_t slot;

  uint8_t* key_tile() const { return bytes + slot / kKvColumns * plane.key_tile; }
  uint8_t* value_tile(int64_t dim) const {
    return bytes + plane.values + dim / kKvColumns * plane.value_tile;
  }
  int64_t column() const { return slot % kKvColumns; }
  float* token_scale(int64_t offset) const {
    return reinterpret_cast<float*>(bytes + offset) + slot;
  }
  uint16_t* key_group_scale(int64_t group) const {
    return reinterpret_cast<uint16_t*>(key_tile() + plane.dims * 8) + group * kKvColumns + column();
  }
  uint16_t* value_group_scale(int64_t group) const {
    return reinterpret_cast<uint16_t*>(bytes + plane.value_scales) + group * plane.tokens + slot;
  }
};

void store_floats(KvFormat format, const Head& h, const float* k, const float* v, int64_t n) {
  for (int64_t d = 0; d < h.plane.dims; ++d) {
    set_float(format, h.key_tile(), d, h.column(), d < n ? k[d] : 0.0f);
    set_float(format, h.value_tile(d), h.slot, d % kKvColumns, d < n ? v[d] : 0.0f);
  }
}

void store_int8(const Head& h, const float* k, const float* v, int64_t n) {
  int8_t keys[kKvMostDims] = {}, values[kKvMostDims] = {};
  *h.token_scale(h.plane.key_scales) = quantize_int8(keys, k, n);
  *h.token_scale(h.plane.value_scales) = quantize_int8(values, v, n);
  for (int64_t d = 0; d < h.plane.dims; ++d) {
    h.key_tile()[place(kKvInt8, d, h.column())] = static_cast<uint8_t>(keys[d] + kKvKeyOffset);
    h.value_tile(d)[place(kKvInt8, h.slot, d % kKvColumns)] = static_cast<uint8_t>(values[d]);
  }
}

void store_q4(const Head& h, const float* k, const float* v, int64_t n) {
  for (int64_t d = 0; d < h.plane.dims; d += kKvGroup) {
    const int64_t left = n - d < kKvGroup ? n - d : kKvGroup;
    uint8_t keys[kKvGroup], values[kKvGroup];
    memset(keys, 0, sizeof keys);
    memset(values, 0, sizeof values);
    *h.key_group_scale(d / kKvGroup) = quantize_group(keys, k + d, left);
    *h.value_group_scale(d / kKvGroup) = quantize_group(values, v + d, left);
    for (int64_t i = 0; i < kKvGroup; ++i) {
      set_nibble(h.key_tile(), d + i, h.column(), keys[i]);
      set_nibble(h.value_tile(d + i), h.slot, i % kKvColumns, values[i]);
    }
  }
}

// Zeroes the values of the 32 tokens that `slot` begins.
void clear_step(KvFormat format, const Head& h) {
  const int64_t bytes = kKvStep * kKvColumns * kBits[format] / 8;
  for (int64_t d = 0; d < h.plane.dims; d += kKvColumns)
    memset(h.value_tile(d) + h.slot / kKvStep * bytes, 0, static_cast<size_t>(bytes));
}

}  // namespace

KvPlane kv_plane(KvFormat format, int64_t head_dim, int64_t page_tokens) {
  KvPlane p;
  p.dims = round_up(head_dim, kKvStep);
  p.tokens = round_up(page_tokens, kKvStep);
  p.key_tile = p.dims * kKvColumns * kBits[format] / 8;
  p.value_tile = p.tokens * kKvColumns * kBits[format] / 8;
  if (format == kKvQ4) p.key_tile += round_up(p.dims / kKvGroup * kKvColumns * 2, 64);
  p.key_scales = p.tokens / kKvColumns * p.key_tile;
  p.values = p.key_scales;
  if (format == kKvInt8) p.values += round_up(p.tokens * 4, 64);
  p.value_scales = p.values + p.dims / kKvColumns * p.value_tile;
  p.bytes = p.value_scales;
  if (format == kKvInt8) p.bytes += round_up(p.tokens * 4, 64);
  if (format == kKvQ4) p.bytes += round_up(p.dims / kKvGroup * p.tokens * 2, 64);
  return p;
}

void kv_store_token(KvFormat format, const KvPlane& plane, void* head, int64_t slot, const float* k,
                    const float* v, int64_t head_dim) {
  const Head h{plane, static_cast<uint8_t*>(head), slot};
  if (slot % kKvStep == 0) clear_step(format, h);
  if (format == kKvInt8) return store_int8(h, k, v, head_dim);
  if (format == kKvQ4) return store_q4(h, k, v, head_dim);
  store_floats(format, h, k, v, head_dim);
}

void kv_load_token(KvFormat format, const KvPlane& plane, const void* head, int64_t slot, float* k,
                   float* v, int64_t head_dim) {
  // Head only hands out addresses; nothing is written through them here.
  const Head h{plane, static_cast<uint8_t*>(const_cast<void*>(head)), slot};
  for (int64_t d = 0; d < head_dim; ++d) {
    const int64_t column = d % kKvColumns;
    if (format == kKvInt8) {
      const int key = h.key_tile()[place(format, d, h.column())] - static_cast<int>(kKvKeyOffset);
      const auto value = static_cast<int8_t>(h.value_tile(d)[place(format, slot, column)]);
      k[d] = static_cast<float>(key) * *h.token_scale(plane.key_scales);
      v[d] = static_cast<float>(value) * *h.token_scale(plane.value_scales);
    } else if (format == kKvQ4) {
      const int key = 2 * nibble(h.key_tile(), d, h.column()) - static_cast<int>(kKvNibbleOffset);
      const int value =
          2 * nibble(h.value_tile(d), slot, column) - static_cast<int>(kKvNibbleOffset);
      k[d] = static_cast<float>(key) * fp16_to_float(*h.key_group_scale(d / kKvGroup));
      v[d] = static_cast<float>(value) * fp16_to_float(*h.value_group_scale(d / kKvGroup));
    } else {
      k[d] = get_float(format, h.key_tile(), d, h.column());
      v[d] = get_float(format, h.value_tile(d), slot, column);
    }
  }
}

}  // namespace headgate
