// What the AVX-512 attention kernels share: walking tile pairs and turning scores into weights.
// Everything is static: nothing here may become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/kernel_table.h"

namespace headgate::avx512 {

// 2^x for x <= 0 within 2 ulp.
static inline __m512 exp2_ps(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-160.0f));
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.5403530393e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3333558146e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.6181291076e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.5504108665e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4022650696e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9314718056e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

static inline __mmask16 first_lanes(int64_t n) {
  return n >= 16 ? 0xffff : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1);
}

static inline int64_t padded_tokens(const AttentionArgs& a) {
  return (a.tokens + kKvStep - 1) / kKvStep * kKvStep;
}

static inline const char* query_row(const AttentionArgs& a, int64_t row) {
  return static_cast<const char*>(a.queries) + row * packed_query_bytes(a.dims);
}

// A value in a register of its own, so that it is read once however often it is used.
static inline __m512 spread(const float* x) {
  __m512 v = _mm512_set1_ps(*x);
  asm("" : "+v"(v));
  return v;
}

static inline __m512i spread4(const void* bytes) {
  int32_t word;
  __builtin_memcpy(&word, bytes, 4);
  __m512i v = _mm512_set1_epi32(word);
  asm("" : "+v"(v));
  return v;
}

// Two neighbouring tiles; the two that will be multiplied after them, to be fetched into L1 (null
// when unknown), and what comes kFarBytes later, to be fetched into L2.
struct TilePair {
  const char* tile[2];
  const char* ahead[2];
  const char* far[2];
};

constexpr int64_t kFarBytes = 32 << 10;

// Keys and values of a segment lie behind each other; behind them come the next segment's.
static inline const char* far_from(const AttentionArgs& a, const char* at) {
  const char* end = static_cast<const char*>(a.values) + a.dims / kKvColumns * a.value_stride;
  if (end - at > kFarBytes) return at + kFarBytes;
  return a.next != nullptr ? static_cast<const char*>(a.next) + (kFarBytes - (end - at)) : at;
}

static inline TilePair tile_pair(const AttentionArgs& a, const char* at, int64_t stride,
                                 const char* ahead, int64_t ahead_stride) {
  TilePair p = {{at, at + stride}, {nullptr, nullptr}, {nullptr, nullptr}};
  if (!a.stream || ahead == nullptr) return p;
  p.ahead[0] = ahead;
  p.ahead[1] = ahead + ahead_stride;
  p.far[0] = far_from(a, p.tile[0]);
  p.far[1] = far_from(a, p.tile[1]);
  return p;
}

static inline TilePair key_pair(const AttentionArgs& a, int64_t token) {
  const char* at = static_cast<const char*>(a.keys) + token / kKvColumns * a.key_stride;
  const bool last = token + kKvStep >= a.tokens;
  return tile_pair(a, at, a.key_stride,
                   last ? static_cast<const char*>(a.values) : at + 2 * a.key_stride,
                   last ? a.value_stride : a.key_stride);
}

static inline TilePair value_pair(const AttentionArgs& a, int64_t dim) {
  const char* at = static_cast<const char*>(a.values) + dim / kKvColumns * a.value_stride;
  const bool last = dim + kKvStep >= a.dims;
  return tile_pair(a, at, a.value_stride,
                   last ? static_cast<const char*>(a.next) : at + 2 * a.value_stride,
                   last ? a.key_stride : a.value_stride);
}

static inline void fetch(const TilePair& pair, int64_t offset) {
  _mm_prefetch(pair.ahead[0] + offset, _MM_HINT_T0);
  _mm_prefetch(pair.ahead[1] + offset, _MM_HINT_T0);
  _mm_prefetch(pair.far[0] + offset, _MM_HINT_T1);
  _mm_prefetch(pair.far[1] + offset, _MM_HINT_T1);
}

// Up to so many rows walk the tiles one by one in the order of memory: a core reads a single stream
// faster than the two of a pair. More rows are bound by arithmetic, and a pair shares their loads.
constexpr int64_t kStreamRows = 16;
constexpr int64_t kStreamBytes = 6 << 10;  // fetched ahead of the multiplications

// What is to be fetched while `bytes` bytes from `at` on are multiplied, null when nothing is.
// Keys, their scales and values of a segment follow each other; behind them come the next keys.
static inline const char* stream_ahead(const AttentionArgs& a, const char* at) {
  if (!a.stream) return nullptr;
  const char* end = static_cast<const char*>(a.values) + a.dims / kKvColumns * a.value_stride;
  if (end - at > kStreamBytes) return at + kStreamBytes;
  return a.next != nullptr ? static_cast<const char*>(a.next) + (kStreamBytes - (end - at)) : at;
}

static inline const char* key_tile(const AttentionArgs& a, int64_t token) {
  return static_cast<const char*>(a.keys) + token / kKvColumns * a.key_stride;
}

static inline const char* value_tile(const AttentionArgs& a, int64_t dim) {
  return static_cast<const char*>(a.values) + dim / kKvColumns * a.value_stride;
}

template <int R>
struct Rows {
  static constexpr int count = R;
};

// op(Rows<R>, first row) for all rows: `Most` (8 or 4) at a time, then the rest.
template <int Most, typename Op>
static inline void by_rows(int64_t rows, const Op& op) {
  int64_t row = 0;
  for (; row + Most <= rows; row += Most) op(Rows<Most>{}, row);
  if (Most > 4 && rows - row >= 4) {
    op(Rows<4>{}, row);
    row += 4;
  }
  if (rows - row >= 2) {
    op(Rows<2>{}, row);
    row += 2;
  }
  if (rows > row) op(Rows<1>{}, row);
}

// Scores of a row become weights 2^(score - max), zero from its visible tokens on to `padded`.
// `keep` stores the 16 weights at an offset and returns them as they will be used.
template <typename Keep>
static inline void soften(const AttentionArgs& a, int64_t row, const float* score,
                          const Keep& keep) {
  const int64_t visible = a.visible[row], padded = padded_tokens(a);
  const __m512 nothing = _mm512_set1_ps(-INFINITY);
  __m512 most = nothing;
  for (int64_t t = 0; t < visible; t += 16)
    most = _mm512_max_ps(most, _mm512_mask_loadu_ps(nothing, first_lanes(visible - t), score + t));
  const float max = _mm512_reduce_max_ps(most);
  const __m512 shift = _mm512_set1_ps(max);
  __m512 sum = _mm512_setzero_ps();
  int64_t t = 0;
  for (; t < visible; t += 16) {
    const __mmask16 live = first_lanes(visible - t);
    const __m512 x = _mm512_maskz_loadu_ps(live, score + t);
    const __m512 p = _mm512_maskz_mov_ps(live, exp2_ps(_mm512_sub_ps(x, shift)));
    sum = _mm512_add_ps(sum, keep(t, p));
  }
  for (; t < padded; t += 16) keep(t, _mm512_setzero_ps());
  a.max[row] = max;
  a.sum[row] = _mm512_reduce_add_ps(sum);
}

}  // namespace headgate::avx512
