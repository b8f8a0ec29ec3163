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

// Sums of products with two planes: 2^shift high + low.
template <int R>
struct PlaneSums {
  __m512i high[R][2], low[R][2];
  void clear() {
    for (int r = 0; r < R; ++r)
      high[r][0] = high[r][1] = low[r][0] = low[r][1] = _mm512_setzero_si512();
  }
};

template <int R>
__attribute__((always_inline)) inline void add_keys(const int8_t* const (&high)[R],
                                                    const int8_t* const (&low)[R], int64_t at,
                                                    __m512i u, __m512i v, PlaneSums<R>& s) {
  for (int r = 0; r < R; ++r) {
    const __m512i h = spread4(high[r] + at), l = spread4(low[r] + at);
    s.high[r][0] = _mm512_dpbusd_epi32(s.high[r][0], u, h);
    s.high[r][1] = _mm512_dpbusd_epi32(s.high[r][1], v, h);
    s.low[r][0] = _mm512_dpbusd_epi32(s.low[r][0], u, l);
    s.low[r][1] = _mm512_dpbusd_epi32(s.low[r][1], v, l);
  }
}

template <int R>
__attribute__((always_inline)) inline void add_values(const WeightCodes& w, int64_t row, int64_t t,
                                                      __m512i u, __m512i v, PlaneSums<R>& s) {
  for (int r = 0; r < R; ++r) {
    const int64_t at = (row + r) * kKvSegment + t;
    const __m512i h = spread4(w.plane[0] + at), l = spread4(w.plane[1] + at);
    s.high[r][0] = _mm512_dpbusd_epi32(s.high[r][0], h, u);
    s.high[r][1] = _mm512_dpbusd_epi32(s.high[r][1], h, v);
    s.low[r][0] = _mm512_dpbusd_epi32(s.low[r][0], l, u);
    s.low[r][1] = _mm512_dpbusd_epi32(s.low[r][1], l, v);
  }
}

__m512i line_at(const char* tile, int64_t line) { return _mm512_loadu_si512(tile + line * 64); }

// Scores of rows [row, row + R) and tokens [t, t + 32).
template <int R>
void score_int8(const AttentionArgs& a, int64_t row, int64_t t, const TilePair& b) {
  const int8_t *high[R], *low[R];
  for (int r = 0; r < R; ++r) {
    high[r] = query_codes(a, row + r).plane(a.dims, 0);
    low[r] = query_codes(a, row + r).plane(a.dims, 1);
  }
  PlaneSums<R> s;
  s.clear();
  if (row == 0 && b.ahead[0] != nullptr) {
    for (int64_t line = 0; line < a.dims / 4; ++line) {
      fetch(b, line * 64);
      add_keys<R>(high, low, line * 4, line_at(b.tile[0], line), line_at(b.tile[1], line), s);
    }
  } else {
    for (int64_t line = 0; line < a.dims / 4; ++line)
      add_keys<R>(high, low, line * 4, line_at(b.tile[0], line), line_at(b.tile[1], line), s);
  }
  for (int r = 0; r < R; ++r) {
    const QueryCodes& q = query_codes(a, row + r);
    const __m512i offset = _mm512_set1_epi32(static_cast<int32_t>(kKvKeyOffset) * q.sum);
    for (int i = 0; i < 2; ++i) {
      const __m512i dot = _mm512_sub_epi32(
          _mm512_add_epi32(_mm512_slli_epi32(s.high[r][i], 7), s.low[r][i]), offset);
      const __mmask16 live = first_lanes(a.tokens - t - 16 * i);
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(q.scale),
                                         _mm512_maskz_loadu_ps(live, a.key_scales + t + 16 * i));
      _mm512_storeu_ps(scores(a) + (row + r) * kKvSegment + t + 16 * i,
                       _mm512_mul_ps(_mm512_cvtepi32_ps(dot), scale));
    }
  }
}

// The codes of a 4-bit line: low nibbles, high nibbles.
__attribute__((always_inline)) inline void split(__m512i line, __m512i& low, __m512i& high) {
  const __m512i mask = _mm512_set1_epi8(15);
  low = _mm512_and_si512(line, mask);
  high = _mm512_and_si512(_mm512_srli_epi16(line, 4), mask);
}

template <int R>
void score_q4(const AttentionArgs& a, int64_t row, int64_t t, const TilePair& b) {
  const int8_t* code[R];
  for (int r = 0; r < R; ++r) code[r] = query_codes(a, row + r).plane(a.dims, 0);
  const bool ahead = row == 0 && b.ahead[0] != nullptr;
  const __m256i* scales[2];
  for (int i = 0; i < 2; ++i) scales[i] = reinterpret_cast<const __m256i*>(b.tile[i] + a.dims * 8);
  __m512 sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (int64_t group = 0; group < a.dims / kKvGroup; ++group) {
    __m512i dot[R][2];
    for (int r = 0; r < R; ++r) dot[r][0] = dot[r][1] = _mm512_setzero_si512();
    for (int64_t i = 0; i < 4; ++i) {
      if (ahead) fetch(b, (group * 4 + i) * 64);
      __m512i low[2], high[2];
      for (int j = 0; j < 2; ++j) split(line_at(b.tile[j], group * 4 + i), low[j], high[j]);
      for (int r = 0; r < R; ++r) {
        const __m512i x = spread4(code[r] + group * kKvGroup + 4 * i);
        const __m512i y = spread4(code[r] + group * kKvGroup + 16 + 4 * i);
        for (int j = 0; j < 2; ++j) {
          dot[r][j] = _mm512_dpbusd_epi32(dot[r][j], low[j], x);
          dot[r][j] = _mm512_dpbusd_epi32(dot[r][j], high[j], y);
        }
      }
    }
    for (int j = 0; j < 2; ++j) {
      const __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256(scales[j] + group));
      for (int r = 0; r < R; ++r) {
        const __m512i offset = _mm512_set1_epi32(query_codes(a, row + r).group_sums(a.dims)[group]);
        const __m512i twice = _mm512_slli_epi32(dot[r][j], 1);
        sum[r][j] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(twice, offset)), scale, sum[r][j]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    const __m512 scale = _mm512_set1_ps(query_codes(a, row + r).scale);
    float* to = scores(a) + (row + r) * kKvSegment + t;
    _mm512_storeu_ps(to, _mm512_mul_ps(sum[r][0], scale));
    _mm512_storeu_ps(to + 16, _mm512_mul_ps(sum[r][1], scale));
  }
}

// Codes of the weights of a row times the scales of the tokens; `scale_at` loads 16 of those.
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
  uint8_t *high = w.plane[0] + row * kKvSegment, *low = w.plane[1] + row * kKvSegment;
  for (int64_t t = 0; t < padded; t += 16) {
    const __mmask16 live = first_lanes(visible - t);
    const __m512 x = _mm512_maskz_mul_ps(live, _mm512_loadu_ps(p + t), scale_at(t, live));
    const __m512i code = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
    sum = _mm512_add_epi32(sum, code);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(high + t),
                     _mm512_cvtepi32_epi8(_mm512_srli_epi32(code, 8)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(low + t), _mm512_cvtepi32_epi8(code));
  }
  w.scale[row] = largest / 32767.0f;
  w.sum[row] = _mm512_reduce_add_epi32(sum);
}

template <int R>
void store_values(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
                  const PlaneSums<R>& s, bool q4) {
  for (int r = 0; r < R; ++r) {
    const __m512 scale = _mm512_set1_ps(w.scale[row + r]);
    const __m512i offset =
        _mm512_set1_epi32(static_cast<int32_t>(kKvNibbleOffset) * w.sum[row + r]);
    for (int i = 0; i < 2; ++i) {
      __m512i total = _mm512_add_epi32(_mm512_slli_epi32(s.high[r][i], 8), s.low[r][i]);
      if (q4) total = _mm512_sub_epi32(_mm512_slli_epi32(total, 1), offset);
      _mm512_storeu_ps(a.out + (row + r) * a.dims + d + 16 * i,
                       _mm512_mul_ps(_mm512_cvtepi32_ps(total), scale));
    }
  }
}

// Dims [d, d + 32) of rows [row, row + R).
template <int R>
void values_int8(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
                 const TilePair& b) {
  const bool ahead = row == 0 && b.ahead[0] != nullptr;
  PlaneSums<R> s;
  s.clear();
  for (int64_t line = 0; line < (a.tokens + 3) / 4; ++line) {
    if (ahead) fetch(b, line * 64);
    add_values<R>(w, row, line * 4, line_at(b.tile[0], line), line_at(b.tile[1], line), s);
  }
  store_values<R>(a, w, row, d, s, false);
}

template <int R>
void values_q4(const AttentionArgs& a, const WeightCodes& w, int64_t row, int64_t d,
               const TilePair& b) {
  const bool ahead = row == 0 && b.ahead[0] != nullptr;
  PlaneSums<R> s;
  s.clear();
  for (int64_t t = 0; t < a.tokens; t += kKvStep) {
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t line = t / 8 + i;
      if (ahead) fetch(b, line * 64);
      __m512i low[2], high[2];
      for (int j = 0; j < 2; ++j) split(line_at(b.tile[j], line), low[j], high[j]);
      add_values<R>(w, row, t + 4 * i, low[0], low[1], s);
      add_values<R>(w, row, t + 16 + 4 * i, high[0], high[1], s);
    }
  }
  store_values<R>(a, w, row, d, s, true);
}

template <int R>
struct Rows {
  static constexpr int count = R;
};

// op(Rows<R>, first row) for all rows, four at a time and then the rest.
template <typename Op>
void by_rows(int64_t rows, const Op& op) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) op(Rows<4>{}, row);
  if (rows - row >= 2) {
    op(Rows<2>{}, row);
    row += 2;
  }
  if (rows > row) op(Rows<1>{}, row);
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
  for (int64_t t = 0; t < a.tokens; t += kKvStep) {
    const TilePair b = key_pair(a, t);
    by_rows(a.rows, [&](auto n, int64_t row) { score_int8<decltype(n)::count>(a, row, t, b); });
  }
  soften_rows(a);
  WeightCodes w = weight_codes(a);
  const auto* scales = static_cast<const float*>(a.value_scales);
  for (int64_t r = 0; r < a.rows; ++r)
    code_weights(a, r, w, [scales](int64_t t, __mmask16 live) {
      return _mm512_maskz_loadu_ps(live, scales + t);
    });
  for (int64_t d = 0; d < a.dims; d += kKvStep) {
    const TilePair b = value_pair(a, d);
    by_rows(a.rows, [&](auto n, int64_t row) { values_int8<decltype(n)::count>(a, w, row, d, b); });
  }
}

void attention_q4(const AttentionArgs& a) {
  for (int64_t t = 0; t < a.tokens; t += kKvStep) {
    const TilePair b = key_pair(a, t);
    by_rows(a.rows, [&](auto n, int64_t row) { score_q4<decltype(n)::count>(a, row, t, b); });
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
    by_rows(a.rows, [&](auto n, int64_t row) { values_q4<decltype(n)::count>(a, w, row, d, b); });
  }
}

}  // namespace headgate::avx512
