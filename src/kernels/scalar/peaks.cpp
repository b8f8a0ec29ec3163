// The loop of plain multiplications and additions, eight chains of them.
#include "kernels/peaks.h"

namespace headgate::scalar {

float peak_fma(int64_t rounds) {
  float a[8];
  for (int i = 0; i < 8; ++i) a[i] = static_cast<float>(i);
  for (int64_t round = 0; round < rounds; ++round)
    for (float& v : a) v = v * 0.999f + 0.001f;
  float sum = 0;
  for (const float v : a) sum += v;
  return sum;
}

}  // namespace headgate::scalar
