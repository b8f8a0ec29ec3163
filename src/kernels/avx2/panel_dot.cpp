// Packed panels times int8 activations with byte multiply-adds. A line of 64 bytes is two vectors
// of 8 outputs; products are summed in 16 bits as far as the codes of the format allow.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/panel_unpack.h"

namespace headgate::avx2 {
namespace {

__m256i broadcast4(const int8_t* codes) {
  int32_t word;
  memcpy(&word, codes, sizeof word);
  return _mm256_set1_epi32(word);
}

template <typename Panel>
struct Traits;
template <>
struct Traits<PanelQ4K> {
  static constexpr int kOffset = 0;  // subtracted from every code
  static constexpr int kWiden = 4;   // lines whose products fit 16 bits together
  static constexpr bool kSigned = false, kMins = true, kHalfScales = false;
};
template <>
struct Traits<PanelQ5K> : Traits<PanelQ4K> {};
template <>
struct Traits<PanelQ6K> {
  static constexpr int kOffset = 32, kWiden = 2;
  static constexpr bool kSigned = false, kMins = false, kHalfScales = true;
};
template <>
struct Traits<PanelQ80> {
  static constexpr int kOffset = 0, kWiden = 1;
  static constexpr bool kSigned = true, kMins = false, kHalfScales = false;
};
template <>
struct Traits<PanelQ40> {
  static constexpr int kOffset = 8, kWiden = 4;
  static constexpr bool kSigned = false, kMins = false, kHalfScales = false;
};

template <>
struct Traits<PanelIQ4NL> {
  static constexpr int kOffset = 0, kWiden = 1;
  static constexpr bool kSigned = true, kMins = false, kHalfScales = false;
};
template <>
struct Traits<PanelIQ4XS> : Traits<PanelIQ4NL> {};
template <>
struct Traits<PanelMXFP4> {
  static constexpr int kOffset = 12, kWiden = 4;  // codes with 12 added
  static constexpr bool kSigned = false, kMins = false, kHalfScales = false;
};

// Sums of code * activation over the 16 inputs of one half, by output.
template <typename Panel>
__attribute__((always_inline)) inline __m256i half_dot(const __m256i (&w)[4], const int8_t* x) {
  using Rule = Traits<Panel>;
  const __m256i one = _mm256_set1_epi16(1);
  __m256i total = _mm256_setzero_si256();
  for (int i = 0; i < 4; i += Rule::kWiden) {
    __m256i narrow = _mm256_setzero_si256();
    for (int j = i; j < i + Rule::kWiden; ++j) {
      const __m256i in = broadcast4(x + 4 * j);
      // The first operand is unsigned: signed codes lend their signs to the activations.
      const __m256i products =
          Rule::kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(w[j]), _mm256_sign_epi8(in, w[j]))
                        : _mm256_maddubs_epi16(w[j], in);
      narrow = _mm256_add_epi16(narrow, products);
    }
    total = _mm256_add_epi32(total, _mm256_madd_epi16(narrow, one));
  }
  return total;
}

// sum + group * activations.
template <typename Panel>
__attribute__((always_inline)) inline __m256 add_group(__m256 sum, const Group& w,
                                                       const ActivationBlock& x, int g) {
  using Rule = Traits<Panel>;
  const int8_t* codes = x.code + 32 * g;
  __m256i low = half_dot<Panel>(w.low, codes), high = half_dot<Panel>(w.high, codes + 16);
  if (Rule::kOffset != 0) {
    low = _mm256_sub_epi32(low, _mm256_set1_epi32(Rule::kOffset * x.half[2 * g]));
    high = _mm256_sub_epi32(high, _mm256_set1_epi32(Rule::kOffset * x.half[2 * g + 1]));
  }
  const __m256 factor = _mm256_set1_ps(x.scale[g]);
  if (Rule::kHalfScales) {
    const __m256 both = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), w.scale_high,
                                        _mm256_mul_ps(_mm256_cvtepi32_ps(low), w.scale));
    return _mm256_fmadd_ps(both, factor, sum);
  }
  const __m256 dot = _mm256_cvtepi32_ps(_mm256_add_epi32(low, high));
  sum = _mm256_fmadd_ps(_mm256_mul_ps(dot, w.scale), factor, sum);
  if (Rule::kMins) sum = _mm256_fnmadd_ps(w.min, _mm256_set1_ps(x.sum[g]), sum);
  return sum;
}

// What is fetched lies so far ahead in the one stream of memory that a core reads.
constexpr int64_t kAheadBytes = 96 * 64;

// A panel times T tokens. Its halves take turns at every block: the unpacked codes of one fit the
// registers, and the block is still in L1 for the other.
template <typename Panel, int T>
void panel_times(float* const* y, int64_t column, const ActivationBlock* const* x,
                 const Panel* panel, int64_t blocks) {
  constexpr int64_t kLines = sizeof(Panel) / 64;
  __m256 sum[2][T];
  for (int t = 0; t < T; ++t) sum[0][t] = sum[1][t] = _mm256_setzero_ps();
  for (int64_t b = 0; b < blocks; ++b) {
    const Panel& p = panel[b];
    const char* ahead = reinterpret_cast<const char*>(&p) + kAheadBytes;
    for (int side = 0; side < 2; ++side) {
      __m256 part[T];
      for (int t = 0; t < T; ++t) part[t] = sum[side][t];
      for (int g = 0; g < 8; ++g) {
        const int64_t step = 8 * side + g;
        for (int64_t line = kLines * step / 16; line < kLines * (step + 1) / 16; ++line)
          _mm_prefetch(ahead + 64 * line, _MM_HINT_T0);
        Group w;
        unpack(w, p, g, side, Traits<Panel>::kSigned);
        for (int t = 0; t < T; ++t) part[t] = add_group<Panel>(part[t], w, x[t][b], g);
      }
      for (int t = 0; t < T; ++t) sum[side][t] = part[t];
    }
  }
  for (int t = 0; t < T; ++t) {
    _mm256_storeu_ps(y[t] + column, sum[0][t]);
    _mm256_storeu_ps(y[t] + column + 8, sum[1][t]);
  }
}

template <typename Panel>
void dot_all(float* const* y, const ActivationBlock* const* x, int64_t tokens, const void* panels,
             int64_t count, int64_t blocks) {
  const auto* panel = static_cast<const Panel*>(panels);
  for (int64_t p = 0; p < count; ++p, panel += blocks) {
    const int64_t column = kPanelRows * p;
    int64_t t = 0;
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
void panel_dot_iq4nl(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelIQ4NL>(y, x, tokens, panels, count, blocks);
}
void panel_dot_iq4xs(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelIQ4XS>(y, x, tokens, panels, count, blocks);
}
void panel_dot_mxfp4(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelMXFP4>(y, x, tokens, panels, count, blocks);
}

}  // namespace headgate::avx2
