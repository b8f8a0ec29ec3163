// Softmax sums over a segment of the KV cache, the reference: exact products for floats, the
// integer arithmetic of the other levels for int8 and 4-bit codes.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/scalar/kernels.h"
#include "tensor/half.h"

namespace headgate::scalar {
namespace {

constexpr float kNothing = -INFINITY;

// A quantised query: value[i] ~ scale * code[i].
struct Codes {
  float scale;
  float padding;
  const int16_t* code() const { return reinterpret_cast<const int16_t*>(this + 1); }  // [dims]
};

const float* row_of(const AttentionArgs& a, int64_t row) {
  return reinterpret_cast<const float*>(static_cast<const char*>(a.queries) +
                                        row * packed_query_bytes(a.dims));
}

const Codes& codes_of(const AttentionArgs& a, int64_t row) {
  return *reinterpret_cast<const Codes*>(row_of(a, row));
}

const uint8_t* key_tile(const AttentionArgs& a, int64_t t) {
  return static_cast<const uint8_t*>(a.keys) + t / kKvColumns * a.key_stride;
}

const uint8_t* value_tile(const AttentionArgs& a, int64_t d) {
  return static_cast<const uint8_t*>(a.values) + d / kKvColumns * a.value_stride;
}

template <int F>
float element(const uint8_t* tile, int64_t depth, int64_t column) {
  if (F == kKvF32) {
    float x;
    memcpy(&x, tile + (depth * 16 + column) * 4, 4);
    return x;
  }
  uint16_t h;
  const int64_t at = F == kKvBF16 ? depth / 2 * 32 + column * 2 + depth % 2 : depth * 16 + column;
  memcpy(&h, tile + at * 2, 2);
  return F == kKvBF16 ? bf16_to_float(h) : fp16_to_float(h);
}

int nibble(const uint8_t* tile, int64_t depth, int64_t column) {
  const uint8_t byte = tile[(depth / 32 * 4 + depth % 16 / 4) * 64 + column * 4 + depth % 4];
  return depth % 32 < 16 ? byte & 15 : byte >> 4;
}

float half_at(const void* base, int64_t i) {
  return fp16_to_float(static_cast<const uint16_t*>(base)[i]);
}

float bf16_rounded(float x) { return bf16_to_float(float_to_bf16(x)); }

// Score of a row and a token.
template <int F>
float score(const AttentionArgs& a, int64_t row, int64_t t) {
  if (F == kKvInt8) {
    const Codes& q = codes_of(a, row);
    int32_t dot = 0;
    for (int64_t d = 0; d < a.dims; ++d)
      dot += q.code()[d] *
             (key_tile(a, t)[d / 4 * 64 + t % 16 * 4 + d % 4] - static_cast<int>(kKvKeyOffset));
    return static_cast<float>(dot) * (q.scale * a.key_scales[t]);
  }
  if (F == kKvQ4) {
    const Codes& q = codes_of(a, row);
    float sum = 0;
    for (int64_t d = 0; d < a.dims; d += kKvGroup) {
      int32_t dot = 0;
      for (int64_t i = d; i < d + kKvGroup; ++i)
        dot += q.code()[i] *
               (2 * nibble(key_tile(a, t), i, t % 16) - static_cast<int>(kKvNibbleOffset));
      sum += static_cast<float>(dot) *
             half_at(key_tile(a, t) + a.dims * 8, d / kKvGroup * 16 + t % 16);
    }
    return sum * q.scale;
  }
  float dot = 0;
  for (int64_t d = 0; d < a.dims; ++d)
    dot += row_of(a, row)[d] * element<F>(key_tile(a, t), d, t % 16);
  return dot;
}

// Weights times the scales of their tokens, as codes of 15 bits; returns the scale of the codes.
template <typename Scale>
float quantize_weights(int16_t* codes, const float* p, int64_t n, const Scale& scale_of) {
  float largest = 0;
  for (int64_t t = 0; t < n; ++t) largest = fmaxf(largest, p[t] * scale_of(t));
  const float inverse = largest > 0 ? 32767.0f / largest : 0.0f;
  for (int64_t t = 0; t < n; ++t)
    codes[t] = static_cast<int16_t>(lrintf(p[t] * scale_of(t) * inverse));
  return largest / 32767.0f;
}

// out = sum over tokens of p * value.
template <int F>
void add_values(const AttentionArgs& a, const float* p, int64_t n, float* out) {
  int16_t codes[kKvSegment];
  float scale = 0;
  for (int64_t d = 0; d < a.dims; ++d) {
    const uint8_t* tile = value_tile(a, d);
    float sum = 0;
    if (F == kKvInt8) {
      const auto* scales = static_cast<const float*>(a.value_scales);
      if (d == 0) scale = quantize_weights(codes, p, n, [&](int64_t t) { return scales[t]; });
      int32_t total = 0;
      for (int64_t t = 0; t < n; ++t)
        total += codes[t] * static_cast<int8_t>(tile[t / 4 * 64 + d % 16 * 4 + t % 4]);
      sum = static_cast<float>(total) * scale;
    } else if (F == kKvQ4) {
      const char* scales = static_cast<const char*>(a.value_scales) + d / kKvGroup * a.scale_stride;
      if (d % kKvGroup == 0)
        scale = quantize_weights(codes, p, n, [&](int64_t t) { return half_at(scales, t); });
      int32_t total = 0;
      for (int64_t t = 0; t < n; ++t)
        total += codes[t] * (2 * nibble(tile, t, d % 16) - static_cast<int>(kKvNibbleOffset));
      sum = static_cast<float>(total) * scale;
    } else {
      for (int64_t t = 0; t < n; ++t) sum += p[t] * element<F>(tile, t, d % 16);
    }
    out[d] = sum;
  }
}

template <int F, bool round>
void attend(const AttentionArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const int64_t visible = a.visible[r];
    float p[kKvSegment];
    float max = kNothing, sum = 0;
    for (int64_t t = 0; t < visible; ++t) {
      p[t] = score<F>(a, r, t);
      max = p[t] > max ? p[t] : max;
    }
    for (int64_t t = 0; t < visible; ++t) {
      p[t] = exp2f(p[t] - max);
      if (round) p[t] = bf16_rounded(p[t]);
      sum += p[t];
    }
    a.max[r] = max;
    a.sum[r] = sum;
    add_values<F>(a, p, visible, a.out + r * a.dims);
  }
}

// Codes of at most `most`.
void pack_codes(void* dst, const float* q, int64_t n, int64_t dims, float scale, float most) {
  auto* codes = static_cast<Codes*>(dst);
  auto* code = reinterpret_cast<int16_t*>(codes + 1);
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = fmaxf(largest, fabsf(q[i] * scale));
  const float inverse = largest > 0 ? most / largest : 0.0f;
  for (int64_t i = 0; i < dims; ++i) {
    const float x = i < n ? q[i] * scale * inverse : 0.0f;
    code[i] = static_cast<int16_t>(lrintf(x));
  }
  codes->scale = largest / most;
}

}  // namespace

void pack_query_floats(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<float*>(dst);
  for (int64_t i = 0; i < dims; ++i) to[i] = i < n ? q[i] * scale : 0.0f;
}

void pack_query_rounded(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<float*>(dst);
  for (int64_t i = 0; i < dims; ++i) to[i] = i < n ? bf16_rounded(q[i] * scale) : 0.0f;
}

void pack_query_int8(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  pack_codes(dst, q, n, dims, scale, kQueryCodes);
}

void pack_query_q4(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  pack_codes(dst, q, n, dims, scale, 127.0f);
}

void attention_f32(const AttentionArgs& args) { attend<kKvF32, false>(args); }
void attention_f16(const AttentionArgs& args) { attend<kKvF16, false>(args); }
void attention_bf16(const AttentionArgs& args) { attend<kKvBF16, false>(args); }
void attention_bf16_rounded(const AttentionArgs& args) { attend<kKvBF16, true>(args); }
void attention_int8(const AttentionArgs& args) { attend<kKvInt8, false>(args); }
void attention_q4(const AttentionArgs& args) { attend<kKvQ4, false>(args); }

}  // namespace headgate::scalar
