// Online softmax over a block of cached keys and values, the reference.
#include <math.h>
#include <stdint.h>

#include "kernels/scalar/kernels.h"
#include "tensor/half.h"

namespace headgate::scalar {
namespace {

struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
float value_of(float v) { return v; }
float value_of(F16 v) { return fp16_to_float(v.bits); }
float value_of(BF16 v) { return bf16_to_float(v.bits); }

template <typename T>
void attend(const AttentionArgs& a) {
  const T* keys = static_cast<const T*>(a.keys);
  const T* values = static_cast<const T*>(a.values);
  for (int64_t r = 0; r < a.rows; ++r) {
    const int64_t visible = a.visible[r];
    if (visible == 0) continue;
    float score[kAttentionTokens];
    float max = a.max[r];
    for (int64_t t = 0; t < visible; ++t) {
      float dot = 0;
      for (int64_t d = 0; d < a.head_dim; ++d)
        dot += a.q[r][d] * value_of(keys[t * a.head_dim + d]);
      score[t] = dot * a.scale;
      max = score[t] > max ? score[t] : max;
    }
    const float keep = expf(a.max[r] - max);
    a.max[r] = max;
    a.sum[r] *= keep;
    for (int64_t d = 0; d < a.head_dim; ++d) a.out[r][d] *= keep;
    for (int64_t t = 0; t < visible; ++t) {
      const float p = expf(score[t] - max);
      a.sum[r] += p;
      for (int64_t d = 0; d < a.head_dim; ++d)
        a.out[r][d] += p * value_of(values[t * a.head_dim + d]);
    }
  }
}

}  // namespace

void attention_block_f32(const AttentionArgs& args) { attend<float>(args); }
void attention_block_f16(const AttentionArgs& args) { attend<F16>(args); }
void attention_block_bf16(const AttentionArgs& args) { attend<BF16>(args); }

}  // namespace headgate::scalar
