// Softmax sums over a segment of an int8 or 4-bit cache: sums of products of codes with VNNI.
// Queries of int8 caches and all weights have two planes of codes, so that only the cache itself
// is coarse.
#include <string.h>

#include "kernels/avx512/attention_core.h"
#include "kernels/avx512/kernels.h"

namespace headgate::avx512 {
namespace {

// A packed query: scale and sum of codes, then planes of [dims] codes.
struct QueryCodes {
  float scale;
  int32_t sum;  // of all codes
  int32_t padding[14];
  const int8_t* plane(int64_t dims, int i) const {
    return reinterpret_cast<const int8_t*>(this + 1) + i * dims;
  }
  int8_t* plane(int64_t dims, int i) { return reinterpret_cast<int8_t*>(this + 1) + i * dims; }
  // 4-bit: 15 times the sum of the codes of each group, behind the only plane.
  const int32_t* group_sums(int64_t dims) const {
    return reinterpret_cast<const int32_t*>(plane(dims, 1));
  }
  int32_t* group_sums(int64_t dims) { return reinterpret_cast<int32_t*>(plane(dims, 1)); }
};
static_assert(sizeof(QueryCodes) == 64, "planes are 64-byte aligned");

const QueryCodes& query_codes(const AttentionArgs& a, int64_t row) {
  return *reinterpret_cast<const QueryCodes*>(query_row(a, row));
}

// Weights of a row as two planes of bytes: weight ~ scale * (256 high + low), 15 bits.
struct WeightCodes {
  uint8_t* plane[2];  // each [rows, kKvSegment]
  float scale[kAttentionRows];
  int32_t sum[kAttentionRows];
};

float* scores(const AttentionArgs& a) { return static_cast<float*>(a.scratch); }

WeightCodes weight_codes(const AttentionArgs& a) {
  WeightCodes w;
  w.plane[0] = reinterpret_cast<uint8_t*>(scores(a) + kAttentionRows * kKvSegment);
  w.plane[1] = w.plane[0] + kAttentionRows * kKvSegment;
  return w;
}

// Sums over the depth of R rows of codes times 32 columns.
template <int R>
struct Totals {
  __m512i sum[R][2];
};

__m512i line_at(const char* tile, int64_t line) { return _mm512_loadu_si512(tile + line * 64); }

// sum + four products of bytes, u unsigned. By hand: g++ 12 copies the sums before and after the
// intrinsic, which costs a fifth of the speed.
__attribute__((always_inline)) inline __m512i add_dots(__m512i sum, __m512i u, __m512i s) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
  return sum;
}

// Adds codes x[row][0..3] times a line of each tile. Keys are the unsigned side of a product,
// weights of values are it.
template <int R, bool keys>
__attribute__((always_inline)) inline void add_line(const void* x, int64_t x_stride, __m512i u,
                                                    __m512i v, __m512i (&sum)[R][2]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512i c = spread4(static_cast<const char*>(x) + r * x_stride);
    sum[r][0] = add_dots(sum[r][0], keys ? u : c, keys ? c : u);
    sum[r][1] = add_dots(sum[r][1], keys ? v : c, keys ? c : v);
  }
}

// Two planes of codes times lines of bytes: 2^shift times the high plane plus the low one. Not
// inlined: g++ 12 moves accumulators about in larger functions.
template <int R, bool keys>
__attribute__((noinline)) void multiply_int8(const void* high, const void* low, int64_t x_stride,
                                             const TilePair& b, int64_t lines, bool ahead,
                                             Totals<R>& out) {
  constexpr int kShift = keys ? 7 : 8;
  __m512i top[R][2], rest[R][2];
  for (int r = 0; r < R; ++r)
    top[r][0] = top[r][1] = rest[r][0] = rest[r][1] = _mm512_setzero_si512();
  const auto *h = static_cast<const char*>(high), *l = static_cast<const char*>(low);
  const char *first = b.tile[0], *second = b.tile[1];
  for (int64_t line = 0; line < lines; ++line, h += 4, l += 4) {
    if (ahead) fetch(b, line * 64);
    const __m512i u = line_at(first, line), v = line_at(second, line);
    add_line<R, keys>(h, x_stride, u, v, top);
    add_line<R, keys>(l, x_stride, u, v, rest);
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < 2; ++i)
      out.sum[r][i] = _mm512_add_epi32(_mm512_slli_epi32(top[r][i], kShift), rest[r][i]);
  }
}

// The same for one tile, walked in the order of memory; the low plane of a row lies `low` bytes
// behind its high one.
template <int R, bool keys>
__attribute__((noinline)) void multiply_int8_tile(const void* codes, int64_t low, int64_t x_stride,
                                                  const char* tile, const char* ahead,
                                                  int64_t lines, __m512i (&out)[R]) {
  constexpr int kShift = keys ? 7 : 8;
  __m512i top[R], rest[R];
  const char* row[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    top[r] = rest[r] = _mm512_setzero_si512();
    row[r] = static_cast<const char*>(codes) + r * x_stride;
  }
  for (int64_t line = 0; line < lines; ++line) {
    if (ahead != nullptr) _mm_prefetch(ahead + line * 64, _MM_HINT_T0);
    const __m512i u = line_at(tile, line);
    const int64_t h = 4 * line, l = 4 * line + low;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512i x = spread4(row[r] + h);
      top[r] = add_dots(top[r], keys ? u : x, keys ? x : u);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512i x = spread4(row[r] + l);
      rest[r] = add_dots(rest[r], keys ? u : x, keys ? x : u);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) out[r] = _mm512_add_epi32(_mm512_slli_epi32(top[r], kShift), rest[r]);
}

// Turns the sums of products of a row and 16 keys from token t on into scores.
void store_scores_int8(const AttentionArgs& a, int64_t row, int64_t t, __m512i total) {
  const QueryCodes& q = query_codes(a, row);
  const __m512i offset = _mm512_set1_epi32(static_cast<int32_t>(kKvKeyOffset) * q.sum);
  const __mmask16 live = first_lanes(a.tokens - t);
  const __m512 scale =
      _mm512_mul_ps(_mm512_set1_ps(q.scale), _mm512_maskz_loadu_ps(live, a.key_scales + t));
  const __m512i dot = _mm512_sub_epi32(total, offset);
  _mm512_storeu_ps(scores(a) + row * kKvSegment + t, _mm512_mul_ps(_mm512_cvtepi32_ps(dot), scale));
}

// Scores of rows [row, row + R) and tokens [t, t + 32).
template <int R>
void score_int8(const AttentionArgs& a, int64_t row, int64_t t, const TilePair& b) {
  const QueryCodes& first = query_codes(a, row);
  Totals<R> totals;
  multiply_int8<R, true>(first.plane(a.dims, 0), first.plane(a.dims, 1), packed_query_bytes(a.dims),
                         b, a.dims / 4, row == 0 && b.ahead[0] != nullptr, totals);
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < 2; ++i) store_scores_int8(a, row + r, t + 16 * i, totals.sum[r][i]);
  }
}

// Scores of rows [row, row + R) and tokens [t, t + 16).
template <int R>
void score_int8_tile(const AttentionArgs& a, int64_t row, int64_t t, const char* ahead) {
  const QueryCodes& first = query_codes(a, row);
  __m512i totals[R];
  multiply_int8_tile<R, true>(first.plane(a.dims, 0), a.dims, packed_query_bytes(a.dims),
                              key_tile(a, t), ahead, a.dims / 4, totals);
  for (int r = 0; r < R; ++r) store_scores_int8(a, row + r, t, totals[r]);
}

// The codes of a 4-bit line: low nibbles, high nibbles.
__attribute__((always_inline)) inline void split(__m512i line, __m512i& low, __m512i& high) {
  const __m512i mask = _mm512_set1_epi8(15);
  low = _mm512_and_si512(line, mask);
  high = _mm512_and_si512(_mm512_srli_epi16(line, 4), mask);
}

// Scores of a 4-bit cache but for the scales of the queries.
template <int R>
__attribute__((noinline)) void multiply_q4_keys(const char* codes, const int32_t* group_sums,
                                                int64_t x_stride, const TilePair& b, int64_t dims,
                                                bool ahead, float* score) {
  const auto *scales = reinterpret_cast<const __m256i*>(b.tile[0] + dims * 8),
             *more_scales = reinterpret_cast<const __m256i*>(b.tile[1] + dims * 8);
  __m512 sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (int64_t group = 0; group < dims / kKvGroup; ++group, codes += kKvGroup) {
    __m512i dot[R][2];
    for (int r = 0; r < R; ++r) dot[r][0] = dot[r][1] = _mm512_setzero_si512();
    for (int64_t i = 0; i < 4; ++i) {
      if (ahead) fetch(b, (group * 4 + i) * 64);
      __m512i low[2], high[2];
      split(line_at(b.tile[0], group * 4 + i), low[0], high[0]);
      split(line_at(b.tile[1], group * 4 + i), low[1], high[1]);
      add_line<R, true>(codes + 4 * i, x_stride, low[0], low[1], dot);
      add_line<R, true>(codes + 16 + 4 * i, x_stride, high[0], high[1], dot);
    }
    const __m512 scale[2] = {_mm512_cvtph_ps(_mm256_loadu_si256(scales + group)),
                             _mm512_cvtph_ps(_mm256_loadu_si256(more_scales + group))};
    for (int r = 0; r < R; ++r) {
      const __m512i offset = _mm512_set1_epi32(group_sums[r * (x_stride / 4) + group]);
      for (int j = 0; j < 2; ++j) {
        const __m512i whole = _mm512_sub_epi32(_mm512_slli_epi32(dot[r][j], 1), offset);
        sum[r][j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale[j], sum[r][j]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    _mm512_storeu_ps(score + r * kKvSegment, sum[r][0]);
    _mm512_storeu_ps(score + r * kKvSegment + 16, sum[r][1]);
  }
}

template <int R>
void score_q4(const AttentionArgs& a, int64_t row, int64_t t, const TilePair& b) {
  const QueryCodes& first = query_codes(a, row);
  float* to = scores(a) + row * kKvSegment + t;
  multiply_q4_keys<R>(reinterpret_cast<const char*>(first.plane(a.dims, 0)),
                      first.group_sums(a.dims), packed_query_bytes(a.dims), b, a.dims,
                      row == 0 && b.ahead[0] != nullptr, to);
  for (int r = 0; r < R; ++r) {
    const __m512 scale = _mm512_set1_ps(query_codes(a, row + r).scale);
    float* at = to + r * kKvSegment;
    _mm512_storeu_ps(at, _mm512_mul_ps(_mm512_loadu_ps(at), scale));
    _mm512_storeu_ps(at + 16, _mm512_mul_ps(_mm512_loadu_ps(at + 16), scale));
  }
}

// Stores the high and the low bytes of 64 codes 0..32767.
__attribute__((always_inline)) inline void store_planes(uint8_t* high, uint8_t* low,
                                                        const __m512i (&code)[4]) {
  const __m512i first = _mm512_packus_epi32(code[0], code[1]);
  const __m512i second = _mm512_packus_epi32(code[2], code[3]);
  const __m512i mask = _mm512_set1_epi16(255);
  // Packing works on quarters: byte group k of quarter q comes from quarter k of code[q].
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i top =
      _mm512_packus_epi16(_mm512_srli_epi16(first, 8), _mm512_srli_epi16(second, 8));
  const __m512i rest =
      _mm512_packus_epi16(_mm512_and_si512(first, mask), _mm512_and_si512(second, mask));
  _mm512_storeu_si512(high, _mm512_permutexvar_epi32(order, top));
  _mm512_storeu_si512(low, _mm512_permutexvar_epi32(order, rest));
}

// Codes of the weights of a row times the scales of the tokens; `scale_at` loads 16 of those.
// Zeros behind the visible tokens, up to the next multiple of 64.
template <typename ScaleAt>
void code_weights(const AttentionArgs& a, int64_t row, WeightCodes& w, const ScaleAt& scale_at) {
  const float* p = scores(a) + row * kKvSegment;
  const int64_t visible = a.visible[row], padded = padded_tokens(a);
  __m512 most = _mm512_setzero_ps();
  for (int64_t t = 0; t < visible; t += 16) {
    // Slots behind the visible tokens may hold any bits.
    const __mmask16 live = first_lanes(visible - t);
    most =
        _mm512_max_ps(most, _mm512_maskz_mul_ps(live, _mm512_loadu_ps(p + t), scale_at(t, live)));
  }
  const float largest = _mm512_reduce_max_ps(most);
  const __m512 inverse = _mm512_set1_ps(largest > 0 ? 32767.0f / largest : 0.0f);
  __m512i sum = _mm512_setzero_si512();
  for (int64_t t = 0; t < padded; t += 64) {
    __m512i code[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int64_t at = t + 16 * i;
      const __mmask16 live = first_lanes(visible - at);
      const __m512 x = _mm512_maskz_mul_ps(live, _mm512_loadu_ps(p + at), scale_at(at, live));
      code[i] = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
      sum = _mm512_add_epi32(sum, code[i]);
    }
    store_planes(w.plane[0] + row * kKvSegment + t, w.plane[1] + row * kKvSegment + t, code);
  }
  w.scale[row] = largest / 32767.0f;
  w.sum[row] = _mm512_reduce_add_epi32(sum);
}

// Turns the sums of weights times values of a row and 16 dims from d on into its output.
void store_values(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
                  __m512i total, bool q4) {
  if (q4) {
    const auto offset = static_cast<int32_t>(kKvNibbleOffset) * w.sum[row];
    total = _mm512_sub_epi32(_mm512_slli_epi32(total, 1), _mm512_set1_epi32(offset));
  }
  _mm512_storeu_ps(a.out + row * a.dims + d,
                   _mm512_mul_ps(_mm512_cvtepi32_ps(total), _mm512_set1_ps(w.scale[row])));
}

template <int R>
void store_values(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
                  const Totals<R>& totals, bool q4) {
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < 2; ++i) store_values(a, w, row + r, d + 16 * i, totals.sum[r][i], q4);
  }
}

// Dims [d, d + 32) of rows [row, row + R).
template <int R>
void values_int8(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
                 const TilePair& b) {
  Totals<R> totals;
  multiply_int8<R, false>(w.plane[0] + row * kKvSegment, w.plane[1] + row * kKvSegment, kKvSegment,
                          b, (a.tokens + 3) / 4, row == 0 && b.ahead[0] != nullptr, totals);
  store_values<R>(a, w, row, d, totals, false);
}

// Dims [d, d + 16) of rows [row, row + R).
template <int R>
void values_int8_tile(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
                      const char* ahead) {
  __m512i totals[R];
  multiply_int8_tile<R, false>(w.plane[0] + row * kKvSegment, w.plane[1] - w.plane[0], kKvSegment,
                               value_tile(a, d), ahead, (a.tokens + 3) / 4, totals);
  for (int r = 0; r < R; ++r) store_values(a, w, row + r, d, totals[r], false);
}

// Weights times 4-bit values: 256 times the high plane plus the low one.
template <int R>
__attribute__((noinline)) void multiply_q4_values(const uint8_t* high, const uint8_t* low,
                                                  const TilePair& b, int64_t tokens, bool ahead,
                                                  Totals<R>& out) {
  __m512i top[R][2], rest[R][2];
  for (int r = 0; r < R; ++r)
    top[r][0] = top[r][1] = rest[r][0] = rest[r][1] = _mm512_setzero_si512();
  for (int64_t t = 0; t < tokens; t += kKvStep) {
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t line = t / 8 + i, at = t + 4 * i;
      if (ahead) fetch(b, line * 64);
      __m512i u[2], v[2];  // low and high nibbles of a tile
      split(line_at(b.tile[0], line), u[0], u[1]);
      split(line_at(b.tile[1], line), v[0], v[1]);
      for (int half = 0; half < 2; ++half) {
        add_line<R, false>(high + at + 16 * half, kKvSegment, u[half], v[half], top);
        add_line<R, false>(low + at + 16 * half, kKvSegment, u[half], v[half], rest);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < 2; ++i)
      out.sum[r][i] = _mm512_add_epi32(_mm512_slli_epi32(top[r][i], 8), rest[r][i]);
  }
}

template <int R>
void values_q4(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
               const TilePair& b) {
  Totals<R> totals;
  multiply_q4_values<R>(w.plane[0] + row * kKvSegment, w.plane[1] + row * kKvSegment, b, a.tokens,
                        row == 0 && b.ahead[0] != nullptr, totals);
  store_values<R>(a, w, row, d, totals, true);
}

void soften_rows(const AttentionArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    float* row = scores(a) + r * kKvSegment;
    soften(a, r, row, [row](int64_t t, __m512 p) {
      _mm512_storeu_ps(row + t, p);
      return p;
    });
  }
}

// Codes of q * scale of at most `most` [dims, zeros behind n]; returns their scale.
float code_query(int32_t* codes, const float* q, int64_t n, int64_t dims, float scale, float most) {
  const __m512 by = _mm512_set1_ps(scale);
  __m512 top = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __m512 x = _mm512_maskz_loadu_ps(first_lanes(n - i), q + i);
    top = _mm512_max_ps(top, _mm512_abs_ps(_mm512_mul_ps(x, by)));
  }
  const float largest = _mm512_reduce_max_ps(top);
  const __m512 inverse = _mm512_set1_ps(largest > 0 ? most / largest : 0.0f);
  for (int64_t i = 0; i < dims; i += 16) {
    const __m512 x = _mm512_maskz_loadu_ps(first_lanes(n - i), q + i);
    _mm512_storeu_si512(codes + i,
                        _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_mul_ps(x, by), inverse)));
  }
  return largest / most;
}

}  // namespace

void pack_query_int8(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<QueryCodes*>(dst);
  int32_t codes[kKvMostDims];
  to->scale = code_query(codes, q, n, dims, scale, kQueryCodes);
  int8_t* high = to->plane(dims, 0);
  int8_t* low = to->plane(dims, 1);
  to->sum = 0;
  for (int64_t i = 0; i < dims; ++i) {
    const int32_t top = (codes[i] + 64) >> 7;
    high[i] = static_cast<int8_t>(top);
    low[i] = static_cast<int8_t>(codes[i] - 128 * top);
    to->sum += codes[i];
  }
}

void pack_query_q4(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<QueryCodes*>(dst);
  int32_t codes[kKvMostDims];
  to->scale = code_query(codes, q, n, dims, scale, 127.0f);
  int8_t* plane = to->plane(dims, 0);
  int32_t* sums = to->group_sums(dims);
  for (int64_t group = 0; group < dims / kKvGroup; ++group) {
    int32_t sum = 0;
    for (int64_t i = group * kKvGroup; i < (group + 1) * kKvGroup; ++i) {
      plane[i] = static_cast<int8_t>(codes[i]);
      sum += codes[i];
    }
    sums[group] = static_cast<int32_t>(kKvNibbleOffset) * sum;
  }
}

void attention_int8(const AttentionArgs& a) {
  const bool few = a.rows <= kStreamRows;
  for (int64_t t = 0; few && t < a.tokens; t += kKvColumns) {
    const char* ahead = stream_ahead(a, key_tile(a, t));
    by_rows<8>(a.rows, [&](auto n, int64_t row) {
      score_int8_tile<decltype(n)::count>(a, row, t, row == 0 ? ahead : nullptr);
    });
  }
  for (int64_t t = 0; !few && t < a.tokens; t += kKvStep) {
    const TilePair b = key_pair(a, t);
    by_rows<4>(a.rows, [&](auto n, int64_t row) { score_int8<decltype(n)::count>(a, row, t, b); });
  }
  soften_rows(a);
  WeightCodes w = weight_codes(a);
  const auto* scales = static_cast<const float*>(a.value_scales);
  for (int64_t r = 0; r < a.rows; ++r)
    code_weights(a, r, w, [scales](int64_t t, __mmask16 live) {
      return _mm512_maskz_loadu_ps(live, scales + t);
    });
  for (int64_t d = 0; few && d < a.dims; d += kKvColumns) {
    const char* ahead = stream_ahead(a, value_tile(a, d));
    by_rows<8>(a.rows, [&](auto n, int64_t row) {
      values_int8_tile<decltype(n)::count>(a, w, row, d, row == 0 ? ahead : nullptr);
    });
  }
  for (int64_t d = 0; !few && d < a.dims; d += kKvStep) {
    const TilePair b = value_pair(a, d);
    by_rows<4>(a.rows,
               [&](auto n, int64_t row) { values_int8<decltype(n)::count>(a, w, row, d, b); });
  }
}

void attention_q4(const AttentionArgs& a) {
  for (int64_t t = 0; t < a.tokens; t += kKvStep) {
    const TilePair b = key_pair(a, t);
    by_rows<4>(a.rows, [&](auto n, int64_t row) { score_q4<decltype(n)::count>(a, row, t, b); });
  }
  soften_rows(a);
  WeightCodes w = weight_codes(a);
  for (int64_t d = 0; d < a.dims; d += kKvGroup) {
    const auto* scales = reinterpret_cast<const uint16_t*>(
        static_cast<const char*>(a.value_scales) + d / kKvGroup * a.scale_stride);
    for (int64_t r = 0; r < a.rows; ++r)
      code_weights(a, r, w, [scales](int64_t t, __mmask16 live) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(live, scales + t));
      });
    const TilePair b = value_pair(a, d);
    by_rows<4>(a.rows,
               [&](auto n, int64_t row) { values_q4<decltype(n)::count>(a, w, row, d, b); });
  }
}

}  // namespace headgate::avx512
