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

// V vectors of 8 columns; `last` of them live in the last one.
template <int V>
struct Slice {
  const DeltaArgs& a;
  int64_t last;
  __m256 written[V];  // beta * (v - read) of the newest token

  int64_t lanes(int j) const { return j == V - 1 ? last : 8; }
  __m256 load(const float* p, int j) const { return load_some(p + 8 * j, lanes(j)); }
  void store(float* p, int j, __m256 x) const { store_some(p + 8 * j, x, lanes(j)); }

  // S = decay * S + k written^T with the values of token t.
  void update(int64_t t) const {
    const float* k = a.k + t * a.k_stride;
    const __m256 decay = _mm256_set1_ps(expf(a.g[t * a.g_stride]));
    for (int64_t i = 0; i < a.key_dim; ++i) {
      float* row = a.state + i * a.state_stride;
      const __m256 ki = _mm256_set1_ps(k[i]);
      for (int j = 0; j < V; ++j)
        store(row, j, _mm256_fmadd_ps(ki, written[j], _mm256_mul_ps(load(row, j), decay)));
    }
  }

  // Reads the state for token t, after the update of token t - 1 when `pending`.
  template <bool pending>
  void visit(int64_t t) {
    const float* q = a.q + t * a.q_stride;
    const float* k = a.k + t * a.k_stride;
    const float* before = pending ? k - a.k_stride : k;
    const __m256 old_decay = _mm256_set1_ps(pending ? expf(a.g[(t - 1) * a.g_stride]) : 1.0f);
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
    const __m256 decay = _mm256_set1_ps(expf(a.g[t * a.g_stride]));
    const __m256 beta = _mm256_set1_ps(a.beta[t * a.beta_stride]);
    const __m256 kq = _mm256_set1_ps(dot(k, q, a.key_dim));
    for (int j = 0; j < V; ++j) {
      const __m256 v = load(a.v + t * a.v_stride, j);
      written[j] = _mm256_mul_ps(beta, _mm256_fnmadd_ps(decay, read[j], v));
      store(a.o + t * a.o_stride, j, _mm256_fmadd_ps(decay, out[j], _mm256_mul_ps(kq, written[j])));
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
