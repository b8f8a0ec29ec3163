// Softmax sums over a segment of an int8 or 4-bit cache. Codes are widened to 16 bits and
// multiplied pairwise: bytes 0 and 2 of four make one pair, 1 and 3 the other, so that widening is
// a mask and a shift. Queries and weights keep their codes in that order.
#include "kernels/avx2/attention_core.h"
#include "kernels/avx2/kernels.h"

namespace headgate::avx2 {
namespace {

// A packed query: its scale and sums of codes, then [dims] codes: of an int8 cache 16 bits each, in
// the order of pairs; of a 4-bit cache bytes as they come.
struct alignas(64) QueryCodes {
  float scale;
  int32_t sum;
  int32_t group_sums[kKvMostDims / kKvGroup];
  const int16_t* codes() const { return reinterpret_cast<const int16_t*>(this + 1); }
  const int8_t* bytes() const { return reinterpret_cast<const int8_t*>(this + 1); }
};
static_assert(sizeof(QueryCodes) == 128, "with 2 bytes a dim, at least 32 dims fit");

// Where four consecutive codes go.
constexpr int kOrder[4] = {0, 2, 1, 3};

const QueryCodes& query_codes(const AttentionArgs& a, int64_t row) {
  return *reinterpret_cast<const QueryCodes*>(static_cast<const char*>(a.queries) +
                                              row * packed_query_bytes(a.dims));
}

// Weights of a row: weight ~ scale * code, 15 bits.
struct WeightCodes {
  int16_t* code;  // [rows, kKvSegment]
  float scale[kAttentionRows];
  int32_t sum[kAttentionRows];
};

float* scores(const AttentionArgs& a) { return static_cast<float*>(a.scratch); }

__m256i words(const void* at) {
  int32_t word;
  __builtin_memcpy(&word, at, 4);
  return _mm256_set1_epi32(word);
}

__m256i half_line(const char* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

// sum[r][half] += codes x[r][0..3] times both halves of a widened line.
template <int R>
__attribute__((always_inline)) inline void add(const int16_t* const (&x)[R], int64_t at,
                                               const __m256i (&even)[2], const __m256i (&odd)[2],
                                               __m256i (&sum)[R][2]) {
  for (int r = 0; r < R; ++r) {
    const __m256i p = words(x[r] + at), q = words(x[r] + at + 2);
    for (int i = 0; i < 2; ++i) {
      sum[r][i] = _mm256_add_epi32(sum[r][i], _mm256_madd_epi16(even[i], p));
      sum[r][i] = _mm256_add_epi32(sum[r][i], _mm256_madd_epi16(odd[i], q));
    }
  }
}

// Adds `lines` lines of int8 codes, unsigned ones of keys or signed ones of values.
template <int R, bool keys>
__attribute__((always_inline)) inline void add_int8(const int16_t* const (&x)[R], const char* tile,
                                                    int64_t lines, __m256i (&sum)[R][2]) {
  for (int64_t line = 0; line < lines; ++line) {
    __m256i even[2], odd[2];
    for (int i = 0; i < 2; ++i) {
      const __m256i b = half_line(tile + line * 64 + i * 32);
      even[i] = keys ? _mm256_and_si256(b, _mm256_set1_epi16(255))
                     : _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8);
      odd[i] = keys ? _mm256_srli_epi16(b, 8) : _mm256_srai_epi16(b, 8);
    }
    add<R>(x, line * 4, even, odd, sum);
  }
}

// Adds one group of 32 depths of 4-bit codes.
template <int R>
__attribute__((always_inline)) inline void add_q4(const int16_t* const (&x)[R], int64_t depth,
                                                  const char* tile, __m256i (&sum)[R][2]) {
  const __m256i mask = _mm256_set1_epi16(15);
  for (int64_t line = 0; line < 4; ++line) {
    const char* at = tile + (depth / 8 + line) * 64;
    __m256i even[2], odd[2], b[2];
    for (int i = 0; i < 2; ++i) {
      b[i] = half_line(at + i * 32);
      even[i] = _mm256_and_si256(b[i], mask);
      odd[i] = _mm256_and_si256(_mm256_srli_epi16(b[i], 8), mask);
    }
    add<R>(x, depth + line * 4, even, odd, sum);
    for (int i = 0; i < 2; ++i) {
      even[i] = _mm256_and_si256(_mm256_srli_epi16(b[i], 4), mask);
      odd[i] = _mm256_srli_epi16(b[i], 12);
    }
    add<R>(x, depth + 16 + line * 4, even, odd, sum);
  }
}

template <int R>
void clear(__m256i (&sum)[R][2]) {
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_si256();
}

// Scores of rows [row, row + R) and tokens [t, t + 16).
template <int R>
void score_int8(const AttentionArgs& a, int64_t row, int64_t t) {
  const int16_t* x[R];
  for (int r = 0; r < R; ++r) x[r] = query_codes(a, row + r).codes();
  __m256i sum[R][2];
  clear<R>(sum);
  add_int8<R, true>(x, key_tile(a, t), a.dims / 4, sum);
  for (int r = 0; r < R; ++r) {
    const QueryCodes& q = query_codes(a, row + r);
    const __m256i offset = _mm256_set1_epi32(static_cast<int32_t>(kKvKeyOffset) * q.sum);
    for (int i = 0; i < 2; ++i) {
      const int64_t at = t + 8 * i, left = a.tokens - at;
      const __m256 keys = left > 0 ? load_some(a.key_scales + at, left) : _mm256_setzero_ps();
      const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(q.scale), keys);
      const __m256 dot = _mm256_cvtepi32_ps(_mm256_sub_epi32(sum[r][i], offset));
      _mm256_storeu_ps(scores(a) + (row + r) * kKvSegment + at, _mm256_mul_ps(dot, scale));
    }
  }
}

// Products of 4-bit key codes and 7-bit query codes: eight pairs of them fit 16 bits.
template <int R>
__attribute__((always_inline)) inline void add_q4_keys(const int8_t* const (&x)[R], int64_t depth,
                                                       const char* tile, __m256i (&sum)[R][2]) {
  const __m256i mask = _mm256_set1_epi8(15);
  for (int64_t line = 0; line < 4; ++line) {
    __m256i low[2], high[2];
    for (int i = 0; i < 2; ++i) {
      const __m256i b = half_line(tile + (depth / 8 + line) * 64 + i * 32);
      low[i] = _mm256_and_si256(b, mask);
      high[i] = _mm256_and_si256(_mm256_srli_epi16(b, 4), mask);
    }
    for (int r = 0; r < R; ++r) {
      const __m256i p = words(x[r] + depth + 4 * line), q = words(x[r] + depth + 16 + 4 * line);
      for (int i = 0; i < 2; ++i) {
        sum[r][i] = _mm256_add_epi16(sum[r][i], _mm256_maddubs_epi16(low[i], p));
        sum[r][i] = _mm256_add_epi16(sum[r][i], _mm256_maddubs_epi16(high[i], q));
      }
    }
  }
}

template <int R>
void score_q4(const AttentionArgs& a, int64_t row, int64_t t) {
  const int8_t* x[R];
  __m256 total[R][2];
  for (int r = 0; r < R; ++r) {
    x[r] = query_codes(a, row + r).bytes();
    total[r][0] = total[r][1] = _mm256_setzero_ps();
  }
  const char* tile = key_tile(a, t);
  const auto* scales = reinterpret_cast<const __m128i*>(tile + a.dims * 8);
  for (int64_t d = 0; d < a.dims; d += kKvGroup) {
    __m256i sum[R][2];
    clear<R>(sum);
    add_q4_keys<R>(x, d, tile, sum);
    for (int i = 0; i < 2; ++i) {
      const __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128(scales + d / kKvGroup * 2 + i));
      for (int r = 0; r < R; ++r) {
        const __m256i offset = _mm256_set1_epi32(static_cast<int32_t>(kKvNibbleOffset) *
                                                 query_codes(a, row + r).group_sums[d / kKvGroup]);
        // Twice the sum of each column's two halves.
        const __m256i twice = _mm256_madd_epi16(sum[r][i], _mm256_set1_epi16(2));
        total[r][i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(twice, offset)), scale,
                                      total[r][i]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    const __m256 scale = _mm256_set1_ps(query_codes(a, row + r).scale);
    for (int i = 0; i < 2; ++i)
      _mm256_storeu_ps(scores(a) + (row + r) * kKvSegment + t + 8 * i,
                       _mm256_mul_ps(total[r][i], scale));
  }
}

// Codes of the weights of a row times the scales of the tokens; `scale_at` loads up to 8 of those.
template <typename ScaleAt>
void code_weights(const AttentionArgs& a, int64_t row, WeightCodes& w, const ScaleAt& scale_at) {
  float* p = scores(a) + row * kKvSegment;
  int16_t* code = w.code + row * kKvSegment;
  const int64_t visible = a.visible[row], padded = padded_tokens(a);
  __m256 most = _mm256_setzero_ps();
  for (int64_t t = 0; t < visible; t += 8)
    most =
        _mm256_max_ps(most, _mm256_mul_ps(load_some(p + t, visible - t), scale_at(t, visible - t)));
  const float largest = max_lanes(most);
  const __m256 inverse = _mm256_set1_ps(largest > 0 ? 32767.0f / largest : 0.0f);
  // Moves words 0 1 2 3 of each half to 0 2 1 3.
  const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
  __m256i sum = _mm256_setzero_si256();
  for (int64_t t = 0; t < padded; t += 8) {
    __m256i c = _mm256_setzero_si256();
    if (t < visible) {
      const __m256 x = _mm256_mul_ps(load_some(p + t, visible - t), scale_at(t, visible - t));
      c = _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse));
    }
    sum = _mm256_add_epi32(sum, c);
    const __m128i narrow =
        _mm_packs_epi32(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(code + t), _mm_shuffle_epi8(narrow, order));
  }
  alignas(32) int32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
  w.sum[row] = 0;
  for (const int32_t lane : lanes) w.sum[row] += lane;
  w.scale[row] = largest / 32767.0f;
}

// Dims [d, d + 16) of rows [row, row + R).
template <int R, bool q4>
void add_values(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d) {
  const int16_t* x[R];
  for (int r = 0; r < R; ++r) x[r] = w.code + (row + r) * kKvSegment;
  __m256i sum[R][2];
  clear<R>(sum);
  const char* tile = value_tile(a, d);
  if (q4) {
    for (int64_t t = 0; t < a.tokens; t += kKvStep) add_q4<R>(x, t, tile, sum);
  } else {
    add_int8<R, false>(x, tile, (a.tokens + 3) / 4, sum);
  }
  for (int r = 0; r < R; ++r) {
    const __m256 scale = _mm256_set1_ps(w.scale[row + r]);
    const __m256i offset =
        _mm256_set1_epi32(static_cast<int32_t>(kKvNibbleOffset) * w.sum[row + r]);
    for (int i = 0; i < 2; ++i) {
      __m256i total = sum[r][i];
      if (q4) total = _mm256_sub_epi32(_mm256_slli_epi32(total, 1), offset);
      _mm256_storeu_ps(a.out + (row + r) * a.dims + d + 8 * i,
                       _mm256_mul_ps(_mm256_cvtepi32_ps(total), scale));
    }
  }
}

// Codes of q * scale of at most `most` [dims, zeros behind n]; returns their scale.
float code_query(int16_t* codes, const float* q, int64_t n, int64_t dims, float scale, float most) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = fmaxf(largest, fabsf(q[i] * scale));
  const float inverse = largest > 0 ? most / largest : 0.0f;
  for (int64_t i = 0; i < dims; ++i)
    codes[i] = static_cast<int16_t>(lrintf(i < n ? q[i] * scale * inverse : 0.0f));
  return largest / most;
}

}  // namespace

void pack_query_int8(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<QueryCodes*>(dst);
  auto* out = reinterpret_cast<int16_t*>(to + 1);
  int16_t codes[kKvMostDims];
  to->scale = code_query(codes, q, n, dims, scale, kQueryCodes);
  to->sum = 0;
  for (int64_t i = 0; i < dims; ++i) {
    out[i / 4 * 4 + kOrder[i % 4]] = codes[i];
    to->sum += codes[i];
  }
}

void pack_query_q4(void* dst, const float* q, int64_t n, int64_t dims, float scale) {
  auto* to = static_cast<QueryCodes*>(dst);
  auto* out = reinterpret_cast<int8_t*>(to + 1);
  int16_t codes[kKvMostDims];
  to->scale = code_query(codes, q, n, dims, scale, 127.0f);
  for (int64_t group = 0; group < dims / kKvGroup; ++group) {
    to->group_sums[group] = 0;
    for (int64_t i = group * kKvGroup; i < (group + 1) * kKvGroup; ++i) {
      out[i] = static_cast<int8_t>(codes[i]);
      to->group_sums[group] += codes[i];
    }
  }
}

void attention_int8(const AttentionArgs& a) {
  for (int64_t t = 0; t < a.tokens; t += kKvColumns)
    by_rows(a.rows, [&](auto n, int64_t row) { score_int8<decltype(n)::count>(a, row, t); });
  soften_rows(a);
  WeightCodes w;
  w.code = reinterpret_cast<int16_t*>(scores(a) + kAttentionRows * kKvSegment);
  const auto* scales = static_cast<const float*>(a.value_scales);
  for (int64_t r = 0; r < a.rows; ++r)
    code_weights(a, r, w,
                 [scales](int64_t t, int64_t left) { return load_some(scales + t, left); });
  for (int64_t d = 0; d < a.dims; d += kKvColumns)
    by_rows(a.rows,
            [&](auto n, int64_t row) { add_values<decltype(n)::count, false>(a, w, row, d); });
}

void attention_q4(const AttentionArgs& a) {
  for (int64_t t = 0; t < a.tokens; t += kKvColumns)
    by_rows(a.rows, [&](auto n, int64_t row) { score_q4<decltype(n)::count>(a, row, t); });
  soften_rows(a);
  WeightCodes w;
  w.code = reinterpret_cast<int16_t*>(scores(a) + kAttentionRows * kKvSegment);
  for (int64_t d = 0; d < a.dims; d += kKvGroup) {
    const auto* scales = reinterpret_cast<const uint16_t*>(
        static_cast<const char*>(a.value_scales) + d / kKvGroup * a.scale_stride);
    for (int64_t r = 0; r < a.rows; ++r)
      code_weights(a, r, w, [scales](int64_t t, int64_t left) {
        return _mm256_cvtph_ps(load_some(scales + t, left));
      });
    for (int64_t i = 0; i < kKvGroup; i += kKvColumns)
      by_rows(a.rows,
              [&](auto n, int64_t row) { add_values<decltype(n)::count, true>(a, w, row, d + i); });
  }
}

}  // namespace headgate::avx2
