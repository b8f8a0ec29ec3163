// Packed panels times the few rows of a decode step, as fast as memory delivers them.
#pragma once

#include <stdint.h>

#include "kernels/panel.h"

namespace headgate::avx512 {

constexpr int64_t kGemvRows = 8;  // most rows of these kernels

// As the panel_dot kernels (kernel_table.h) for 1..kGemvRows tokens, with their bits.
void panel_gemv_q4k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks);
void panel_gemv_q5k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks);
void panel_gemv_q6k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks);
void panel_gemv_q80(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks);
void panel_gemv_q40(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                    const void* panels, int64_t count, int64_t blocks);
void panel_gemv_iq4nl(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                      const void* panels, int64_t count, int64_t blocks);
void panel_gemv_iq4xs(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                      const void* panels, int64_t count, int64_t blocks);
void panel_gemv_mxfp4(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                      const void* panels, int64_t count, int64_t blocks);

}  // namespace headgate::avx512
