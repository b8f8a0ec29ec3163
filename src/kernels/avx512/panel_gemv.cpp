// Packed panels times up to 8 rows: one panel after the other, so that a core reads a single stream
// of memory. Two streams at once are read at 82 to 88 % of the speed of one on Zen 5.
#include "kernels/avx512/panel_gemv.h"

#include <immintrin.h>

#include "kernels/avx512/panel_gemm.h"

namespace headgate::avx512 {
namespace {

// What is fetched lies so far ahead: at 40 GB/s a core and 120 ns of latency 75 lines are under
// way. 37 lines cost 10 % where memory is fast, fetching into L2 first costs 20 %.
constexpr int64_t kAheadBytes = 96 * 64;

template <typename Panel, int R>
__attribute__((noinline)) void stream(float* const* y, const ActivationBlock* const* x,
                                      const Panel* panel, int64_t count, int64_t blocks) {
  constexpr int64_t kLines = sizeof(Panel) / 64;
  for (int64_t p = 0; p < count; ++p) {
    __m512 sum[1][R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[0][r] = _mm512_setzero_ps();
    for (int64_t b = 0; b < blocks; ++b, ++panel) {
      const ActivationBlock* in[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) in[r] = x[r] + b;
      const char* ahead = reinterpret_cast<const char*>(panel) + kAheadBytes;
      for (int g = 0; g < 8; ++g) {
        for (int64_t line = kLines * g / 8; line < kLines * (g + 1) / 8; ++line)
          _mm_prefetch(ahead + 64 * line, _MM_HINT_T0);
        const GroupScales scales[1] = {group_scales(*panel, nullptr, g)};
        add_group<Panel, 1, R>(sum, &panel, scales, in, g);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) _mm512_storeu_ps(y[r] + 16 * p, sum[0][r]);
  }
}

// stream() for `rows` rows, 1..Most.
template <typename Panel, int Most = kGemvRows>
void stream_rows(float* const* y, const ActivationBlock* const* x, int64_t rows, const void* panels,
                 int64_t count, int64_t blocks) {
  if (rows < 1) return;
  if constexpr (Most > 1) {
    if (rows < Most) return stream_rows<Panel, Most - 1>(y, x, rows, panels, count, blocks);
  }
  stream<Panel, Most>(y, x, static_cast<const Panel*>(panels), count, blocks);
}

}  // namespace

void panel_gemv_q4k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelQ4K>(y, x, tokens, panels, count, blocks);
}
void panel_gemv_q5k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelQ5K>(y, x, tokens, panels, count, blocks);
}
void panel_gemv_q6k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelQ6K>(y, x, tokens, panels, count, blocks);
}
void panel_gemv_q80(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelQ80>(y, x, tokens, panels, count, blocks);
}
void panel_gemv_q40(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelQ40>(y, x, tokens, panels, count, blocks);
}
void panel_gemv_iq4nl(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                      const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelIQ4NL>(y, x, tokens, panels, count, blocks);
}
void panel_gemv_iq4xs(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                      const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelIQ4XS>(y, x, tokens, panels, count, blocks);
}
void panel_gemv_mxfp4(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                      const void* panels, int64_t count, int64_t blocks) {
  stream_rows<PanelMXFP4>(y, x, tokens, panels, count, blocks);
}

}  // namespace headgate::avx512
