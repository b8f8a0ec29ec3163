// The gated delta rule, token by token, the reference.
// Source: Gated Delta Networks (arXiv 2412.06464), recurrent form.
#include <math.h>
#include <stdint.h>

#include "kernels/scalar/kernels.h"

namespace headgate::scalar {

void delta_gates(float* beta, float* g, const float* b, const float* a, float neg_exp_a,
                 float dt_bias, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float x = a[i] + dt_bias;
    beta[i] = 1.0f / (1.0f + expf(-b[i]));
    g[i] = neg_exp_a * (x > 20.0f ? x : log1pf(expf(x)));
  }
}

void gated_delta(const DeltaArgs& a) {
  float read[kDeltaColumns], written[kDeltaColumns];
  for (int64_t t = 0; t < a.tokens; ++t) {
    const float* q = a.q + t * a.q_stride;
    const float* k = a.k + t * a.k_stride;
    const float* v = a.v + t * a.v_stride;
    float* o = a.o + t * a.o_stride;
    const float decay = expf(a.g[t * a.g_stride]);
    const float beta = a.beta[t * a.beta_stride];
    for (int64_t c = 0; c < a.columns; ++c) read[c] = 0;
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      for (int64_t c = 0; c < a.columns; ++c) {
        row[c] *= decay;
        read[c] += row[c] * k[i];
      }
    }
    for (int64_t c = 0; c < a.columns; ++c) {
      written[c] = beta * (v[c] - read[c]);
      read[c] = 0;
    }
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      for (int64_t c = 0; c < a.columns; ++c) {
        row[c] += k[i] * written[c];
        read[c] += row[c] * q[i];
      }
    }
    for (int64_t c = 0; c < a.columns; ++c) o[c] = read[c];
  }
}

// Queries and keys side by side; the chunk is its tokens, one after the other.
void prepare_delta_chunk(void* shared, const float* q, int64_t q_stride, const float* k,
                         int64_t k_stride, int64_t key_dim) {
  auto* to = static_cast<float*>(shared);
  for (int64_t t = 0; t < kDeltaChunk; ++t) {
    for (int64_t i = 0; i < key_dim; ++i) {
      to[t * key_dim + i] = q[t * q_stride + i];
      to[(kDeltaChunk + t) * key_dim + i] = k[t * k_stride + i];
    }
  }
}

void run_delta_chunk(const DeltaArgs& args, const void* shared, void*) {
  DeltaArgs a = args;
  a.q = static_cast<const float*>(shared);
  a.k = a.q + kDeltaChunk * a.key_dim;
  a.q_stride = a.k_stride = a.key_dim;
  for (int64_t column = 0; column < args.columns; column += kDeltaColumns) {
    a.state = args.state + column;
    a.v = args.v + column;
    a.o = args.o + column;
    const int64_t left = args.columns - column;
    a.columns = left < kDeltaColumns ? left : kDeltaColumns;
    gated_delta(a);
  }
}

}  // namespace headgate::scalar
