// Activations to int8 with one scale per 32, the reference.
#include <math.h>
#include <stdint.h>

#include "kernels/scalar/kernels.h"

namespace headgate::scalar {

void quantize(ActivationBlock* blocks, const float* x, int64_t n, int64_t first_group) {
  for (int64_t at = 0, g = first_group; at < n; at += kGroupInputs, ++g) {
    const int64_t live = n - at < kGroupInputs ? n - at : kGroupInputs;
    ActivationBlock& block = blocks[g / kBlockGroups];
    const int64_t group = g % kBlockGroups;
    float max = 0;
    for (int64_t i = 0; i < live; ++i) max = fmaxf(max, fabsf(x[at + i]));
    const float scale = max / 127.0f;
    const float inverse = max > 0 ? 127.0f / max : 0.0f;
    int32_t half[2] = {0, 0};
    for (int64_t i = 0; i < kGroupInputs; ++i) {
      const auto code = i < live ? static_cast<int8_t>(lrintf(x[at + i] * inverse)) : int8_t{0};
      block.code[group * kGroupInputs + i] = code;
      half[i / 16] += code;
    }
    block.scale[group] = scale;
    block.sum[group] = scale * static_cast<float>(half[0] + half[1]);
    block.half[2 * group] = half[0];
    block.half[2 * group + 1] = half[1];
  }
}

}  // namespace headgate::scalar
