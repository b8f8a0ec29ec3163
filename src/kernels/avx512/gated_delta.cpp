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

// log(1 + e^x), as exact for small e^x as for large; x beyond 20. Polynomial of Cephes' logf; the
// quotient makes good what 1 + e^x rounds away.
static inline __m512 softplus_ps(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 e = exp_ps(_mm512_min_ps(x, _mm512_set1_ps(20.0f)));
  const __m512 u = _mm512_add_ps(one, e);
  const __m512 d = _mm512_sub_ps(u, one);
  // u = m 2^n with m in [sqrt(1/2), sqrt(2)).
  const __m512 full = _mm512_getmant_ps(u, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
  const __mmask16 large = _mm512_cmp_ps_mask(full, _mm512_set1_ps(1.41421356f), _CMP_GT_OQ);
  const __m512 m = _mm512_mask_mul_ps(full, large, full, _mm512_set1_ps(0.5f));
  const __m512 n = _mm512_mask_add_ps(_mm512_getexp_ps(u), large, _mm512_getexp_ps(u), one);
  const __m512 r = _mm512_sub_ps(m, one);
  __m512 p = _mm512_set1_ps(7.0376836292e-2f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(-1.1514610310e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.1676998740e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(-1.2420140846e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.4249322787e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(-1.6668057665e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.0000714765e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(-2.4999993993e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(3.3333331174e-1f));
  const __m512 square = _mm512_mul_ps(r, r);
  __m512 log = _mm512_mul_ps(_mm512_mul_ps(p, r), square);
  log = _mm512_fmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), log);
  log = _mm512_fnmadd_ps(square, _mm512_set1_ps(0.5f), log);
  log = _mm512_fmadd_ps(n, _mm512_set1_ps(0.693359375f), _mm512_add_ps(log, r));
  const __mmask16 tiny = _mm512_cmp_ps_mask(d, _mm512_setzero_ps(), _CMP_EQ_OQ);
  const __m512 exact = _mm512_mask_mov_ps(_mm512_mul_ps(log, _mm512_div_ps(e, d)), tiny, e);
  const __mmask16 linear = _mm512_cmp_ps_mask(x, _mm512_set1_ps(20.0f), _CMP_GT_OQ);
  return _mm512_mask_mov_ps(exact, linear, x);
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

  // S = kept * S + k written^T with the values of token t.
  void update(int64_t t, float kept) const {
    const float* k = a.k + t * a.k_stride;
    const __m512 decay = _mm512_set1_ps(kept);
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      const __m512 ki = _mm512_set1_ps(k[i]);
      for (int j = 0; j < V; ++j)
        store(row, j, _mm512_fmadd_ps(ki, written[j], _mm512_mul_ps(load(row, j), decay)));
    }
  }

  // Reads the state for token t, which keeps the share `kept` of it; before that the update of
  // token t - 1, which keeps `kept_before`, when `pending`.
  template <bool pending>
  void visit(int64_t t, float kept_before, float kept) {
    const float* q = a.q + t * a.q_stride;
    const float* k = a.k + t * a.k_stride;
    const float* before = pending ? k - a.k_stride : k;
    const __m512 old_decay = _mm512_set1_ps(kept_before);
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
    const __m512 decay = _mm512_set1_ps(kept);
    const __m512 beta = _mm512_set1_ps(a.beta[t * a.beta_stride]);
    const __m512 kq = _mm512_set1_ps(dot(k, q, a.key_dim));
    for (int j = 0; j < V; ++j) {
      const __m512 v = load(a.v + t * a.v_stride, j);
      written[j] = _mm512_mul_ps(beta, _mm512_fnmadd_ps(decay, read[j], v));
      store(a.o + t * a.o_stride, j, _mm512_fmadd_ps(decay, out[j], _mm512_mul_ps(kq, written[j])));
    }
  }

  // exp(g) of up to 16 tokens from `first` on.
  void decays(float* out, int64_t first) const {
    const int64_t left = a.tokens - first, count = left < 16 ? left : 16;
    for (int64_t i = 0; i < count; ++i) out[i] = a.g[(first + i) * a.g_stride];
    for (int64_t i = count; i < 16; ++i) out[i] = 0.0f;
    _mm512_storeu_ps(out, exp_ps(_mm512_loadu_ps(out)));
  }

  void run() {
    float kept[16];
    float before = 1.0f;
    for (int64_t t = 0; t < a.tokens; ++t) {
      if (t % 16 == 0) decays(kept, t);
      const float now = kept[t % 16];
      if (t == 0) {
        visit<false>(t, before, now);
      } else {
        visit<true>(t, before, now);
      }
      before = now;
    }
    update(a.tokens - 1, before);
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

void delta_gates(float* beta, float* g, const float* b, const float* a, float neg_exp_a,
                 float dt_bias, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 x = _mm512_add_ps(_mm512_maskz_loadu_ps(live, a + i), _mm512_set1_ps(dt_bias));
    _mm512_mask_storeu_ps(beta + i, live, sigmoid_ps(_mm512_maskz_loadu_ps(live, b + i)));
    _mm512_mask_storeu_ps(g + i, live, _mm512_mul_ps(_mm512_set1_ps(neg_exp_a), softplus_ps(x)));
  }
}

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
