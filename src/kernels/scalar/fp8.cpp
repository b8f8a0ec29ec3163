// Rows of FP8 weights as floats, the reference.
#include <stdint.h>

#include "kernels/scalar/kernels.h"
#include "tensor/half.h"

namespace headgate::scalar {

void fp8_floats(float* dst, const uint8_t* codes, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = fp8_e4m3_to_float(codes[i]) * scale;
}

}  // namespace headgate::scalar
