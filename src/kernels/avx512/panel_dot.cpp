// Packed panels times int8 activations with VNNI: a line of 16 outputs x 4 inputs meets 4
// activations broadcast to all lanes. A lane is an output, so nothing is ever added across lanes.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/panel_gemm.h"
#include "kernels/avx512/panel_unpack.h"

namespace headgate::avx512 {
namespace {

__m512i broadcast4(const int8_t* codes) {
  int32_t word;
  memcpy(&word, codes, sizeof word);
  return _mm512_set1_epi32(word);
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

// From this many rows on, unpacking a block once and storing it is cheaper than doing it twice.
constexpr int64_t kGemmFrom = 5;

template <typename Panel>
void dot_all(float* const* y, const ActivationBlock* const* x, int64_t tokens, const void* panels,
             int64_t count, int64_t blocks) {
  const auto* panel = static_cast<const Panel*>(panels);
  if (tokens >= kGemmFrom) return gemm(y, x, tokens, panel, count, blocks);
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
