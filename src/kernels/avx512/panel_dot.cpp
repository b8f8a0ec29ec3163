// Packed panels times int8 activations with VNNI: a line of 16 outputs x 4 inputs meets 4
// activations broadcast to all lanes. A lane is an output, so nothing is ever added across lanes.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

__m512i broadcast4(const int8_t* codes) {
  int32_t word;
  memcpy(&word, codes, sizeof word);
  return _mm512_set1_epi32(word);
}

__m512 half_floats(const uint16_t* h) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(h)));
}

__m512 byte_floats(const uint8_t* b) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b))));
}

__m512 byte_floats(const int8_t* b) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b))));
}

// One group of 32 inputs of a panel, unpacked: unsigned codes of both halves and what turns integer
// sums into values.
struct Group {
  __m512i low[4], high[4];
  __m512 scale;       // of the group, or of the low half
  __m512 scale_high;  // Q6K: of the high half
  __m512 min;         // Q4K, Q5K: subtracted times the sum of the activations
};

// How a format's integer sums become values.
template <typename Panel>
struct Traits;
template <>
struct Traits<PanelQ4K> {
  static constexpr int kOffset = 0;  // subtracted from every code
  static constexpr bool kMins = true, kHalfScales = false;
};
template <>
struct Traits<PanelQ5K> : Traits<PanelQ4K> {};
template <>
struct Traits<PanelQ6K> {
  static constexpr int kOffset = 32;
  static constexpr bool kMins = false, kHalfScales = true;
};
template <>
struct Traits<PanelQ80> {
  static constexpr int kOffset = 128;
  static constexpr bool kMins = false, kHalfScales = false;
};
template <>
struct Traits<PanelQ40> {
  static constexpr int kOffset = 8;
  static constexpr bool kMins = false, kHalfScales = false;
};

__attribute__((always_inline)) inline void unpack_nibbles(Group& out, const uint8_t (*code)[64]) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int i = 0; i < 4; ++i) {
    const __m512i v = _mm512_loadu_si512(code[i]);
    out.low[i] = _mm512_and_si512(v, mask);
    out.high[i] = _mm512_and_si512(_mm512_srli_epi16(v, 4), mask);
  }
}

template <typename Panel>
__attribute__((always_inline)) inline void unpack_mins(Group& out, const Panel& p, int g) {
  out.scale = _mm512_mul_ps(half_floats(p.d), byte_floats(p.scale[g]));
  out.min = _mm512_mul_ps(half_floats(p.dmin), byte_floats(p.min[g]));
}

__attribute__((always_inline)) inline void unpack(Group& out, const PanelQ4K& p, int g) {
  unpack_nibbles(out, p.code[g]);
  unpack_mins(out, p, g);
}

__attribute__((always_inline)) inline void unpack(Group& out, const PanelQ5K& p, int g) {
  unpack_nibbles(out, p.code[g]);
  const __m512i bit = _mm512_set1_epi8(16);
  for (int i = 0; i < 4; ++i) {
    uint64_t low, high;
    memcpy(&low, p.high[g][0][i], sizeof low);
    memcpy(&high, p.high[g][1][i], sizeof high);
    out.low[i] = _mm512_mask_add_epi8(out.low[i], low, out.low[i], bit);
    out.high[i] = _mm512_mask_add_epi8(out.high[i], high, out.high[i], bit);
  }
  unpack_mins(out, p, g);
}

__attribute__((always_inline)) inline void unpack(Group& out, const PanelQ6K& p, int g) {
  unpack_nibbles(out, p.code[g]);
  const __m512i mask = _mm512_set1_epi8(0x30);
  const __m512i low = _mm512_loadu_si512(p.high[g][0]), high = _mm512_loadu_si512(p.high[g][1]);
  // Bits 2i and 2i + 1 move to 4 and 5; what crosses into the neighbour byte is masked off.
  const __m512i l[4] = {_mm512_slli_epi16(low, 4), _mm512_slli_epi16(low, 2), low,
                        _mm512_srli_epi16(low, 2)};
  const __m512i h[4] = {_mm512_slli_epi16(high, 4), _mm512_slli_epi16(high, 2), high,
                        _mm512_srli_epi16(high, 2)};
  for (int i = 0; i < 4; ++i) {
    // a | (b & mask)
    out.low[i] = _mm512_ternarylogic_epi32(out.low[i], l[i], mask, 0xf8);
    out.high[i] = _mm512_ternarylogic_epi32(out.high[i], h[i], mask, 0xf8);
  }
  const __m512 d = half_floats(p.d);
  out.scale = _mm512_mul_ps(d, byte_floats(p.scale[2 * g]));
  out.scale_high = _mm512_mul_ps(d, byte_floats(p.scale[2 * g + 1]));
}

__attribute__((always_inline)) inline void unpack(Group& out, const PanelQ80& p, int g) {
  for (int i = 0; i < 4; ++i) {
    out.low[i] = _mm512_loadu_si512(p.code[g][i]);
    out.high[i] = _mm512_loadu_si512(p.code[g][4 + i]);
  }
  out.scale = half_floats(p.d[g]);
}

__attribute__((always_inline)) inline void unpack(Group& out, const PanelQ40& p, int g) {
  unpack_nibbles(out, p.code[g]);
  out.scale = half_floats(p.d[g]);
}

// sum + group * activations.
template <typename Panel>
__attribute__((always_inline)) inline __m512 add_group(__m512 sum, const Group& w,
                                                       const ActivationBlock& x, int g) {
  using Rule = Traits<Panel>;
  const int8_t* codes = x.code + 32 * g;
  __m512i low = _mm512_setzero_si512(), high = low;
  if (Rule::kOffset != 0) {
    low = _mm512_set1_epi32(-Rule::kOffset * x.half[2 * g]);
    high = _mm512_set1_epi32(-Rule::kOffset * x.half[2 * g + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    low = _mm512_dpbusd_epi32(low, w.low[i], broadcast4(codes + 4 * i));
    high = _mm512_dpbusd_epi32(high, w.high[i], broadcast4(codes + 16 + 4 * i));
  }
  const __m512 factor = _mm512_set1_ps(x.scale[g]);
  if (Rule::kHalfScales) {
    const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), w.scale_high,
                                        _mm512_mul_ps(_mm512_cvtepi32_ps(low), w.scale));
    return _mm512_fmadd_ps(both, factor, sum);
  }
  const __m512 dot = _mm512_cvtepi32_ps(_mm512_add_epi32(low, high));
  sum = _mm512_fmadd_ps(_mm512_mul_ps(dot, w.scale), factor, sum);
  if (Rule::kMins) sum = _mm512_fnmadd_ps(w.min, _mm512_set1_ps(x.sum[g]), sum);
  return sum;
}

// One panel times T tokens.
template <typename Panel, int T>
void panel_times(float* const* y, int64_t column, const ActivationBlock* const* x,
                 const Panel* panel, int64_t blocks) {
  __m512 sum[T];
  for (int t = 0; t < T; ++t) sum[t] = _mm512_setzero_ps();
  for (int64_t b = 0; b < blocks; ++b) {
    const Panel& p = panel[b];
    const ActivationBlock* in[T];
    for (int t = 0; t < T; ++t) in[t] = x[t] + b;
    for (int g = 0; g < 8; ++g) {
      // The next block, spread over this one: decode runs at memory speed only with this.
      constexpr int kLines = (sizeof(Panel) + 511) / 512;
      const char* ahead = reinterpret_cast<const char*>(&p + 1) + g * kLines * 64;
      for (int line = 0; line < kLines; ++line) _mm_prefetch(ahead + 64 * line, _MM_HINT_T0);
      Group w;
      unpack(w, p, g);
      for (int t = 0; t < T; ++t) sum[t] = add_group<Panel>(sum[t], w, *in[t], g);
    }
  }
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(y[t] + column, sum[t]);
}

template <typename Panel>
void dot_all(float* const* y, const ActivationBlock* const* x, int64_t tokens, const void* panels,
             int64_t count, int64_t blocks) {
  const auto* panel = static_cast<const Panel*>(panels);
  for (int64_t p = 0; p < count; ++p, panel += blocks) {
    const int64_t column = kPanelRows * p;
    int64_t t = 0;
    for (; t + 8 <= tokens; t += 8) panel_times<Panel, 8>(y + t, column, x + t, panel, blocks);
    for (; t + 4 <= tokens; t += 4) panel_times<Panel, 4>(y + t, column, x + t, panel, blocks);
    for (; t + 2 <= tokens; t += 2) panel_times<Panel, 2>(y + t, column, x + t, panel, blocks);
    if (t < tokens) panel_times<Panel, 1>(y + t, column, x + t, panel, blocks);
  }
}

}  // namespace

void panel_dot_q4k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ4K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q5k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ5K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q6k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ6K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q80(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ80>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q40(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ40>(y, x, tokens, panels, count, blocks);
}

}  // namespace headgate::avx512
