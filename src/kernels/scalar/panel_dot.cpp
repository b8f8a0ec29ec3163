// Packed panels times quantised activations, the reference: integer sums per group are exact, so
// vector kernels differ only in how they round the few floating-point steps.
#include <stdint.h>

#include "kernels/scalar/kernels.h"
#include "kernels/scalar/panel_codes.h"
#include "tensor/half.h"

namespace headgate::scalar {
namespace {

// Sum of code * activation over 16 inputs.
template <typename Panel>
int half_dot(const Panel& p, const ActivationBlock& x, int g, int half, int n) {
  int sum = 0;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j)
      sum += code_at(p, g, half, i, 4 * n + j) * x.code[32 * g + 16 * half + 4 * i + j];
  }
  return sum;
}

template <typename Panel>
float with_mins(float sum, const Panel& p, const ActivationBlock& x, int g, int n) {
  const float scale = fp16_to_float(p.d[n]) * static_cast<float>(p.scale[g][n]);
  const float min = fp16_to_float(p.dmin[n]) * static_cast<float>(p.min[g][n]);
  const int dot = half_dot(p, x, g, 0, n) + half_dot(p, x, g, 1, n);
  return sum + static_cast<float>(dot) * scale * x.scale[g] - min * x.sum[g];
}

float add_group(float sum, const PanelQ4K& p, const ActivationBlock& x, int g, int n) {
  return with_mins(sum, p, x, g, n);
}
float add_group(float sum, const PanelQ5K& p, const ActivationBlock& x, int g, int n) {
  return with_mins(sum, p, x, g, n);
}
float add_group(float sum, const PanelQ6K& p, const ActivationBlock& x, int g, int n) {
  const int dot =
      half_dot(p, x, g, 0, n) * p.scale[2 * g][n] + half_dot(p, x, g, 1, n) * p.scale[2 * g + 1][n];
  return sum + static_cast<float>(dot) * fp16_to_float(p.d[n]) * x.scale[g];
}
float add_group(float sum, const PanelQ80& p, const ActivationBlock& x, int g, int n) {
  const int dot = half_dot(p, x, g, 0, n) + half_dot(p, x, g, 1, n);
  return sum + static_cast<float>(dot) * fp16_to_float(p.d[g][n]) * x.scale[g];
}
float add_group(float sum, const PanelQ40& p, const ActivationBlock& x, int g, int n) {
  const int dot = half_dot(p, x, g, 0, n) + half_dot(p, x, g, 1, n);
  return sum + static_cast<float>(dot) * fp16_to_float(p.d[g][n]) * x.scale[g];
}

float add_group(float sum, const PanelIQ4NL& p, const ActivationBlock& x, int g, int n) {
  const int dot = half_dot(p, x, g, 0, n) + half_dot(p, x, g, 1, n);
  return sum + static_cast<float>(dot) * fp16_to_float(p.d[g][n]) * x.scale[g];
}
float add_group(float sum, const PanelIQ4XS& p, const ActivationBlock& x, int g, int n) {
  const float scale = fp16_to_float(p.d[n]) * static_cast<float>(p.scale[g][n]);
  const int dot = half_dot(p, x, g, 0, n) + half_dot(p, x, g, 1, n);
  return sum + static_cast<float>(dot) * scale * x.scale[g];
}
float add_group(float sum, const PanelMXFP4& p, const ActivationBlock& x, int g, int n) {
  const int dot = half_dot(p, x, g, 0, n) + half_dot(p, x, g, 1, n);
  return sum + static_cast<float>(dot) * mxfp4_scale(p.exponent[g][n]) * x.scale[g];
}

template <typename Panel>
void dot_all(float* const* y, const ActivationBlock* const* x, int64_t tokens, const void* panels,
             int64_t count, int64_t blocks) {
  const auto* panel = static_cast<const Panel*>(panels);
  for (int64_t p = 0; p < count; ++p, panel += blocks) {
    for (int64_t t = 0; t < tokens; ++t) {
      for (int n = 0; n < kPanelRows; ++n) {
        float sum = 0;
        for (int64_t b = 0; b < blocks; ++b) {
          for (int g = 0; g < kBlockGroups; ++g) sum = add_group(sum, panel[b], x[t][b], g, n);
        }
        y[t][kPanelRows * p + n] = sum;
      }
    }
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

}  // namespace headgate::scalar
