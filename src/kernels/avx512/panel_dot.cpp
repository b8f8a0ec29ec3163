// Packed panels times int8 activations: one entry per format.
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/panel_gemm.h"
#include "kernels/avx512/panel_gemv.h"

namespace headgate::avx512 {

void panel_dot_q4k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_q4k(y, x, tokens, panels, count, blocks);
  multiply_all<PanelQ4K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q5k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_q5k(y, x, tokens, panels, count, blocks);
  multiply_all<PanelQ5K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q6k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_q6k(y, x, tokens, panels, count, blocks);
  multiply_all<PanelQ6K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q80(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_q80(y, x, tokens, panels, count, blocks);
  multiply_all<PanelQ80>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q40(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_q40(y, x, tokens, panels, count, blocks);
  multiply_all<PanelQ40>(y, x, tokens, panels, count, blocks);
}
void panel_dot_iq4nl(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_iq4nl(y, x, tokens, panels, count, blocks);
  multiply_all<PanelIQ4NL>(y, x, tokens, panels, count, blocks);
}
void panel_dot_iq4xs(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_iq4xs(y, x, tokens, panels, count, blocks);
  multiply_all<PanelIQ4XS>(y, x, tokens, panels, count, blocks);
}
void panel_dot_mxfp4(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  if (tokens <= kGemvRows) return panel_gemv_mxfp4(y, x, tokens, panels, count, blocks);
  multiply_all<PanelMXFP4>(y, x, tokens, panels, count, blocks);
}

}  // namespace headgate::avx512
