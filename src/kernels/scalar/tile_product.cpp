// Packed panels times bf16 activations, the reference: weights are rounded one at a time.
#include <math.h>
#include <string.h>

#include "kernels/scalar/kernels.h"
#include "kernels/scalar/panel_codes.h"
#include "tensor/half.h"

namespace headgate::scalar {
namespace {

// w = scale * code - min; `half` of group g.
struct Scales {
  float scale, min;
};

template <typename Panel>
Scales with_mins(const Panel& p, int g, int n) {
  return {fp16_to_float(p.d[n]) * static_cast<float>(p.scale[g][n]),
          fp16_to_float(p.dmin[n]) * static_cast<float>(p.min[g][n])};
}
Scales scales_of(const PanelQ4K& p, int g, int, int n) { return with_mins(p, g, n); }
Scales scales_of(const PanelQ5K& p, int g, int, int n) { return with_mins(p, g, n); }
Scales scales_of(const PanelQ6K& p, int g, int half, int n) {
  return {fp16_to_float(p.d[n]) * static_cast<float>(p.scale[2 * g + half][n]), 0};
}
Scales scales_of(const PanelQ80& p, int g, int, int n) { return {fp16_to_float(p.d[g][n]), 0}; }
Scales scales_of(const PanelQ40& p, int g, int, int n) { return {fp16_to_float(p.d[g][n]), 0}; }
Scales scales_of(const PanelIQ4NL& p, int g, int, int n) { return {fp16_to_float(p.d[g][n]), 0}; }
Scales scales_of(const PanelIQ4XS& p, int g, int, int n) {
  return {fp16_to_float(p.d[n]) * static_cast<float>(p.scale[g][n]), 0};
}
Scales scales_of(const PanelMXFP4& p, int g, int, int n) {
  return {mxfp4_scale(p.exponent[g][n]), 0};
}

// To the nearest bf16, ties away from zero.
float rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x8000u) & 0xffff0000u;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// Row n of a block.
template <typename Panel>
void weights_of(float* w, const Panel& p, int n) {
  for (int g = 0; g < kBlockGroups; ++g) {
    for (int at = 0; at < kGroupInputs; ++at) {
      const int half = at / 16, i = at % 16 / 4, j = at % 4;
      const Scales s = scales_of(p, g, half, n);
      const auto code = static_cast<float>(code_at(p, g, half, i, 4 * n + j));
      w[g * kGroupInputs + at] = rounded(fmaf(code, s.scale, -s.min));
    }
  }
}

template <typename Panel>
void multiply_all(const TileProductArgs& a) {
  const auto* panel = static_cast<const Panel*>(a.panels);
  const int64_t row_tile = a.blocks * kBlockInputs * kTileRowsOfInputs;
  for (int64_t p = 0; p < a.count; ++p, panel += a.blocks) {
    for (int n = 0; n < kPanelRows; ++n) {
      for (int64_t t = 0; t < a.rows; ++t) a.y[t][kPanelRows * p + n] = 0;
      for (int64_t b = 0; b < a.blocks; ++b) {
        float w[kBlockInputs];
        weights_of(w, panel[b], n);
        for (int64_t t = 0; t < a.rows; ++t) {
          const uint16_t* x = a.x + t / kTileRowsOfInputs * row_tile;
          float sum = 0;
          for (int64_t i = 0; i < kBlockInputs; ++i) {
            const int64_t input = b * kBlockInputs + i;
            sum += w[i] * bf16_to_float(
                              x[(input / kTileInputs * kTileRowsOfInputs + t % kTileRowsOfInputs) *
                                    kTileInputs +
                                input % kTileInputs]);
          }
          a.y[t][kPanelRows * p + n] += sum;
        }
      }
    }
  }
}

}  // namespace

void pack_tiles(uint16_t* to, const float* const* x, int64_t rows, int64_t cols) {
  const int64_t steps = (cols + kBlockInputs - 1) / kBlockInputs * kBlockGroups;
  for (int64_t tile = 0; tile * kTileRowsOfInputs < rows; ++tile) {
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t r = 0; r < kTileRowsOfInputs; ++r) {
        for (int64_t i = 0; i < kTileInputs; ++i) {
          const int64_t row = tile * kTileRowsOfInputs + r, input = step * kTileInputs + i;
          *to++ = row < rows && input < cols ? float_to_bf16(x[row][input]) : 0;
        }
      }
    }
  }
}

void tiles_q4k(const TileProductArgs& args) { multiply_all<PanelQ4K>(args); }
void tiles_q5k(const TileProductArgs& args) { multiply_all<PanelQ5K>(args); }
void tiles_q6k(const TileProductArgs& args) { multiply_all<PanelQ6K>(args); }
void tiles_q80(const TileProductArgs& args) { multiply_all<PanelQ80>(args); }
void tiles_q40(const TileProductArgs& args) { multiply_all<PanelQ40>(args); }
void tiles_iq4nl(const TileProductArgs& args) { multiply_all<PanelIQ4NL>(args); }
void tiles_iq4xs(const TileProductArgs& args) { multiply_all<PanelIQ4XS>(args); }
void tiles_mxfp4(const TileProductArgs& args) { multiply_all<PanelMXFP4>(args); }

}  // namespace headgate::scalar
