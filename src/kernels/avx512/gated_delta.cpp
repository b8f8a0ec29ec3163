// The gated delta rule on up to 64 value columns: the rank-one update of a token is merged into the
// reads of the next one, so that the slice of the state passes through the registers once per
// token. Source: Gated Delta Networks (arXiv 2412.06464), recurrent form.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/avx512/kernels.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

float dot(const float* a, const float* b, int64_t n) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(live, a + i), _mm512_maskz_loadu_ps(live, b + i),
                          sum);
  }
  return _mm512_reduce_add_ps(sum);
}

// V vectors of 16 columns, the last one under mask `last` unless all are full.
template <int V, bool full>
struct Slice {
  const DeltaArgs& a;
  __mmask16 last;
  __m512 written[V];  // beta * (v - read) of the newest token

  __m512 load(const float* p, int j) const {
    if (full || j < V - 1) return _mm512_loadu_ps(p + 16 * j);
    return _mm512_maskz_loadu_ps(last, p + 16 * j);
  }
  void store(float* p, int j, __m512 x) const {
    if (full || j < V - 1) return _mm512_storeu_ps(p + 16 * j, x);
    _mm512_mask_storeu_ps(p + 16 * j, last, x);
  }

  // S = decay * S + k written^T with the values of token t.
  void update(int64_t t) const {
    const float* k = a.k + t * a.k_stride;
    const __m512 decay = _mm512_set1_ps(expf(a.g[t * a.g_stride]));
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      const __m512 ki = _mm512_set1_ps(k[i]);
      for (int j = 0; j < V; ++j)
        store(row, j, _mm512_fmadd_ps(ki, written[j], _mm512_mul_ps(load(row, j), decay)));
    }
  }

  // Reads the state for token t, after the update of token t - 1 when `pending`.
  template <bool pending>
  void visit(int64_t t) {
    const float* q = a.q + t * a.q_stride;
    const float* k = a.k + t * a.k_stride;
    const float* before = pending ? k - a.k_stride : k;
    const __m512 old_decay = _mm512_set1_ps(pending ? expf(a.g[(t - 1) * a.g_stride]) : 1.0f);
    __m512 read[V], out[V];
    for (int j = 0; j < V; ++j) read[j] = out[j] = _mm512_setzero_ps();
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      const __m512 ki = _mm512_set1_ps(k[i]), qi = _mm512_set1_ps(q[i]);
      const __m512 old = _mm512_set1_ps(before[i]);
      for (int j = 0; j < V; ++j) {
        __m512 s = load(row, j);
        if (pending) {
          s = _mm512_fmadd_ps(old, written[j], _mm512_mul_ps(s, old_decay));
          store(row, j, s);
        } else {
          // One token at a time the state comes from memory; columns of the next slice lie here.
          _mm_prefetch(reinterpret_cast<const char*>(row + 16 * V + 16 * j), _MM_HINT_T1);
        }
        read[j] = _mm512_fmadd_ps(s, ki, read[j]);
        out[j] = _mm512_fmadd_ps(s, qi, out[j]);
      }
    }
    // The reads used the state before its decay, and `out` misses this token's own update.
    const __m512 decay = _mm512_set1_ps(expf(a.g[t * a.g_stride]));
    const __m512 beta = _mm512_set1_ps(a.beta[t * a.beta_stride]);
    const __m512 kq = _mm512_set1_ps(dot(k, q, a.key_dim));
    for (int j = 0; j < V; ++j) {
      const __m512 v = load(a.v + t * a.v_stride, j);
      written[j] = _mm512_mul_ps(beta, _mm512_fnmadd_ps(decay, read[j], v));
      store(a.o + t * a.o_stride, j, _mm512_fmadd_ps(decay, out[j], _mm512_mul_ps(kq, written[j])));
    }
  }

  void run() {
    visit<false>(0);
    for (int64_t t = 1; t < a.tokens; ++t) visit<true>(t);
    update(a.tokens - 1);
  }
};

template <int V>
void run_slice(const DeltaArgs& args) {
  const __mmask16 last = live_lanes(args.columns - 16 * (V - 1));
  if (last == 0xffff) {
    Slice<V, true>{args, last, {}}.run();
  } else {
    Slice<V, false>{args, last, {}}.run();
  }
}

}  // namespace

void gated_delta(const DeltaArgs& args) {
  if (args.tokens <= 0) return;
  switch ((args.columns + 15) / 16) {
    case 1:
      return run_slice<1>(args);
    case 2:
      return run_slice<2>(args);
    case 3:
      return run_slice<3>(args);
    default:
      return run_slice<4>(args);
  }
}

}  // namespace headgate::avx512
