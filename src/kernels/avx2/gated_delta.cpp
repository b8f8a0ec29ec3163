// The gated delta rule 32 value columns at a time: the rank-one update of a token is merged into
// the reads of the next one, so that the slice of the state passes through the registers once per
// token. Source: Gated Delta Networks (arXiv 2412.06464), recurrent form.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "kernels/avx2/kernels.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

float dot(const float* a, const float* b, int64_t n) {
  __m256 sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; i += 8)
    sum = _mm256_fmadd_ps(load_some(a + i, n - i), load_some(b + i, n - i), sum);
  return sum_lanes(sum);
}

// log(1 + e^x), as exact for small e^x as for large. Polynomial of Cephes' logf; the quotient makes
// good what 1 + e^x rounds away.
static inline __m256 softplus_ps(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 e = exp_ps(_mm256_min_ps(x, _mm256_set1_ps(20.0f)));
  const __m256 u = _mm256_add_ps(one, e);
  const __m256 d = _mm256_sub_ps(u, one);
  // u = m 2^n with m in [sqrt(1/2), sqrt(2)).
  const __m256i bits = _mm256_castps_si256(u);
  const __m256i fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff));
  const __m256 full = _mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f800000)));
  const __m256i power = _mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127));
  const __m256 large = _mm256_cmp_ps(full, _mm256_set1_ps(1.41421356f), _CMP_GT_OQ);
  const __m256 half = _mm256_mul_ps(full, _mm256_set1_ps(0.5f));
  const __m256 m = _mm256_blendv_ps(full, half, large);
  const __m256 n = _mm256_add_ps(_mm256_cvtepi32_ps(power), _mm256_and_ps(large, one));
  const __m256 r = _mm256_sub_ps(m, one);
  __m256 p = _mm256_set1_ps(7.0376836292e-2f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(-1.1514610310e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.1676998740e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(-1.2420140846e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.4249322787e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(-1.6668057665e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.0000714765e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(-2.4999993993e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(3.3333331174e-1f));
  const __m256 square = _mm256_mul_ps(r, r);
  __m256 log = _mm256_mul_ps(_mm256_mul_ps(p, r), square);
  log = _mm256_fmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), log);
  log = _mm256_fnmadd_ps(square, _mm256_set1_ps(0.5f), log);
  log = _mm256_fmadd_ps(n, _mm256_set1_ps(0.693359375f), _mm256_add_ps(log, r));
  const __m256 tiny = _mm256_cmp_ps(d, _mm256_setzero_ps(), _CMP_EQ_OQ);
  const __m256 exact = _mm256_blendv_ps(_mm256_mul_ps(log, _mm256_div_ps(e, d)), e, tiny);
  return _mm256_blendv_ps(exact, x, _mm256_cmp_ps(x, _mm256_set1_ps(20.0f), _CMP_GT_OQ));
}

// V vectors of 8 columns; `last` of them live in the last one.
template <int V>
struct Slice {
  const DeltaArgs& a;
  int64_t last;
  __m256 written[V];  // beta * (v - read) of the newest token

  int64_t lanes(int j) const { return j == V - 1 ? last : 8; }
  __m256 load(const float* p, int j) const { return load_some(p + 8 * j, lanes(j)); }
  void store(float* p, int j, __m256 x) const { store_some(p + 8 * j, x, lanes(j)); }

  // S = kept * S + k written^T with the values of token t.
  void update(int64_t t, float kept) const {
    const float* k = a.k + t * a.k_stride;
    const __m256 decay = _mm256_set1_ps(kept);
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      const __m256 ki = _mm256_set1_ps(k[i]);
      for (int j = 0; j < V; ++j)
        store(row, j, _mm256_fmadd_ps(ki, written[j], _mm256_mul_ps(load(row, j), decay)));
    }
  }

  // Reads the state for token t, which keeps the share `kept` of it; before that the update of
  // token t - 1, which keeps `kept_before`, when `pending`.
  template <bool pending>
  void visit(int64_t t, float kept_before, float kept) {
    const float* q = a.q + t * a.q_stride;
    const float* k = a.k + t * a.k_stride;
    const float* before = pending ? k - a.k_stride : k;
    const __m256 old_decay = _mm256_set1_ps(kept_before);
    __m256 read[V], out[V];
    for (int j = 0; j < V; ++j) read[j] = out[j] = _mm256_setzero_ps();
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      const __m256 ki = _mm256_set1_ps(k[i]), qi = _mm256_set1_ps(q[i]);
      const __m256 old = _mm256_set1_ps(before[i]);
      for (int j = 0; j < V; ++j) {
        __m256 s = load(row, j);
        if (pending) {
          s = _mm256_fmadd_ps(old, written[j], _mm256_mul_ps(s, old_decay));
          store(row, j, s);
        } else {
          // One token at a time the state comes from memory; columns of the next slice lie here.
          _mm_prefetch(reinterpret_cast<const char*>(row + 8 * V + 8 * j), _MM_HINT_T1);
        }
        read[j] = _mm256_fmadd_ps(s, ki, read[j]);
        out[j] = _mm256_fmadd_ps(s, qi, out[j]);
      }
    }
    // The reads used the state before its decay, and `out` misses this token's own update.
    const __m256 decay = _mm256_set1_ps(kept);
    const __m256 beta = _mm256_set1_ps(a.beta[t * a.beta_stride]);
    const __m256 kq = _mm256_set1_ps(dot(k, q, a.key_dim));
    for (int j = 0; j < V; ++j) {
      const __m256 v = load(a.v + t * a.v_stride, j);
      written[j] = _mm256_mul_ps(beta, _mm256_fnmadd_ps(decay, read[j], v));
      store(a.o + t * a.o_stride, j, _mm256_fmadd_ps(decay, out[j], _mm256_mul_ps(kq, written[j])));
    }
  }

  // exp(g) of up to 8 tokens from `first` on.
  void decays(float* out, int64_t first) const {
    const int64_t left = a.tokens - first, count = left < 8 ? left : 8;
    for (int64_t i = 0; i < count; ++i) out[i] = a.g[(first + i) * a.g_stride];
    for (int64_t i = count; i < 8; ++i) out[i] = 0.0f;
    _mm256_storeu_ps(out, exp_ps(_mm256_loadu_ps(out)));
  }

  void run() {
    float kept[8];
    float before = 1.0f;
    for (int64_t t = 0; t < a.tokens; ++t) {
      if (t % 8 == 0) decays(kept, t);
      const float now = kept[t % 8];
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
  Slice<V> slice{args, args.columns - 8 * (V - 1), {}};
  slice.run();
}

void run_columns(const DeltaArgs& args) {
  switch ((args.columns + 7) / 8) {
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

}  // namespace

void delta_gates(float* beta, float* g, const float* b, const float* a, float neg_exp_a,
                 float dt_bias, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 x = _mm256_add_ps(load_some(a + i, n - i), _mm256_set1_ps(dt_bias));
    store_some(beta + i, sigmoid_ps(load_some(b + i, n - i)), n - i);
    store_some(g + i, _mm256_mul_ps(_mm256_set1_ps(neg_exp_a), softplus_ps(x)), n - i);
  }
}

void gated_delta(const DeltaArgs& args) {
  if (args.tokens <= 0) return;
  constexpr int64_t kColumns = 32;  // reads, outputs and updates fit 16 registers
  DeltaArgs part = args;
  for (int64_t first = 0; first < args.columns; first += kColumns) {
    part.columns = args.columns - first < kColumns ? args.columns - first : kColumns;
    run_columns(part);
    part.state += kColumns;
    part.v += kColumns;
    part.o += kColumns;
  }
}

}  // namespace headgate::avx2
