// The kernels that need AVX-VNNI; contracts in kernel_table.h.
#pragma once

#include "kernels/kernel_table.h"

namespace headgate::avxvnni {

void fill(KernelTable& table);

void panel_dot_q4k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q5k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q6k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q80(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q40(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_iq4nl(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks);
void panel_dot_iq4xs(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks);
void panel_dot_mxfp4(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks);

}  // namespace headgate::avxvnni
