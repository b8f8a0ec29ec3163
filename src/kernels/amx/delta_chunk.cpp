// The gated delta rule on chunks of 64 tokens. With G the log of the decay summed up from the
// chunk's start and D[i][j] = exp(G[i] - G[j]):
//   X = beta (V - exp(G) K S);  (I + strict tril(beta K K^T D)) N = X;
//   O = exp(G) Q S + tril(Q K^T D) N;  S = exp(G[63]) S + K^T (exp(G[63] - G) N).
// The triangle is solved 16 rows at a time: what earlier rows contribute is a product of tiles,
// the 16 x 16 on the diagonal is solved in fp32.
// Source: Gated Delta Networks (arXiv 2412.06464), chunkwise form.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/amx/kernels.h"
#include "kernels/amx/round.h"
#include "kernels/amx/tile.h"
#include "kernels/amx/transpose.h"
#include "kernels/avx512/vector.h"

namespace headgate::HEADGATE_AMX {
namespace {

constexpr int64_t kTokens = kDeltaChunk;

// Operands of one key head: left ones by rows, right ones as pairs of rows.
struct Shared {
  uint16_t* q;        // [token, key_dim]
  uint16_t* k;        // [token, key_dim]
  uint16_t* k_right;  // K^T as a right operand: [key_dim / 2, token, 2]
  uint16_t* k_left;   // K^T as a left operand: [key_dim, token]
  float* qk;          // Q K^T and K K^T [token, token], their lower triangles
  float* kk;

  Shared(void* memory, int64_t key_dim) {
    q = static_cast<uint16_t*>(memory);
    k = q + kTokens * key_dim;
    k_right = k + kTokens * key_dim;
    k_left = k_right + kTokens * key_dim;
    qk = reinterpret_cast<float*>(k_left + kTokens * key_dim);
    kk = qk + kTokens * kTokens;
  }
};

// Memory of one call.
struct Work {
  uint16_t* state;                   // S as a right operand [key_dim / 2, columns, 2]
  uint16_t* written;                 // N as a right operand [token / 2, columns, 2]
  uint16_t* kept;                    // exp(G[63] - G) N likewise
  float* x;                          // X, then N [token, columns]
  uint16_t* read;                    // tril(Q K^T D) [token, token]
  uint16_t* before;                  // -strict tril(beta K K^T D) [token, token]
  float* triangle;                   // strict tril(beta K K^T D) [token, token]
  float *sum, *decay, *rest, *beta;  // [token]: G, exp(G), exp(G[63] - G)

  Work(void* memory, int64_t key_dim, int64_t columns) {
    x = static_cast<float*>(memory);
    triangle = x + kTokens * columns;
    sum = triangle + kTokens * kTokens;
    decay = sum + kTokens;
    rest = decay + kTokens;
    beta = rest + kTokens;
    state = reinterpret_cast<uint16_t*>(beta + kTokens);
    written = state + key_dim * columns;
    kept = written + kTokens * columns;
    read = kept + kTokens * columns;
    before = read + kTokens * kTokens;
  }
};

// c [32, 32] = a [32, depth] b [depth, 32], added to c with kAdd. Strides in elements: of b, those
// of a row of pairs.
template <bool kAdd>
void product(float* c, int64_t c_stride, const uint16_t* a, int64_t a_stride, const uint16_t* b,
             int64_t b_stride, int64_t depth) {
  if (kAdd) {
    tile_load<0>(c, c_stride * 4);
    tile_load<1>(c + 16, c_stride * 4);
    tile_load<2>(c + 16 * c_stride, c_stride * 4);
    tile_load<3>(c + 16 * c_stride + 16, c_stride * 4);
  } else {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
  }
  for (int64_t k = 0; k < depth; k += 32) {
    const uint16_t* right = b + k / 2 * b_stride;
    tile_load<4>(a + k, a_stride * 2);
    tile_load<6>(right, b_stride * 2);
    tile_multiply<0, 4, 6>();
    tile_load<7>(right + 32, b_stride * 2);
    tile_multiply<1, 4, 7>();
    tile_load<5>(a + 16 * a_stride + k, a_stride * 2);
    tile_multiply<2, 5, 6>();
    tile_multiply<3, 5, 7>();
  }
  tile_store<0>(c, c_stride * 4);
  tile_store<1>(c + 16, c_stride * 4);
  tile_store<2>(c + 16 * c_stride, c_stride * 4);
  tile_store<3>(c + 16 * c_stride + 16, c_stride * 4);
}

// c [16, columns] += a [16, depth] b [depth, columns].
void add_product_16(float* c, const uint16_t* a, const uint16_t* b, int64_t columns,
                    int64_t depth) {
  for (int64_t j = 0; j < columns; j += 32) {
    tile_load<0>(c + j, columns * 4);
    tile_load<1>(c + j + 16, columns * 4);
    for (int64_t k = 0; k < depth; k += 32) {
      const uint16_t* right = b + k * columns + 2 * j;
      tile_load<4>(a + k, kTokens * 2);
      tile_load<6>(right, columns * 4);
      tile_multiply<0, 4, 6>();
      tile_load<7>(right + 32, columns * 4);
      tile_multiply<1, 4, 7>();
    }
    tile_store<0>(c + j, columns * 4);
    tile_store<1>(c + j + 16, columns * 4);
  }
}

void round_rows(uint16_t* to, const float* x, int64_t stride, int64_t n) {
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t i = 0; i < n; i += 16) {
      const __m256i h = round_row(_mm512_loadu_ps(x + t * stride + i));
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + t * n + i), h);
    }
  }
}

// Both forms of K^T from the rounded keys.
void turn_keys(const Shared& s, int64_t key_dim) {
  for (int64_t t = 0; t < kTokens; t += 16) {
    for (int64_t d = 0; d < key_dim; d += 32) {
      __m512i r[16];
      for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(s.k + (t + i) * key_dim + d);
      transpose_words(r);
      for (int i = 0; i < 16; ++i) {
        const int64_t pair = d / 2 + i;
        _mm512_store_si512(s.k_right + (pair * kTokens + t) * 2, r[i]);
        uint16_t* even = s.k_left + 2 * pair * kTokens + t;
        _mm256_store_si256(reinterpret_cast<__m256i*>(even), _mm512_cvtepi32_epi16(r[i]));
        _mm256_store_si256(reinterpret_cast<__m256i*>(even + kTokens),
                           _mm512_cvtepi32_epi16(_mm512_srli_epi32(r[i], 16)));
      }
    }
  }
}

// Decays and betas of the chunk; returns exp(G[63]).
float sum_decays(const DeltaArgs& a, const Work& w) {
  float sum = 0;
  for (int64_t t = 0; t < kTokens; ++t) {
    sum += a.g[t * a.g_stride];
    w.sum[t] = sum;
    w.beta[t] = a.beta[t * a.beta_stride];
  }
  for (int64_t t = 0; t < kTokens; t += 16) {
    const __m512 g = _mm512_load_ps(w.sum + t);
    _mm512_store_ps(w.decay + t, avx512::exp_ps(g));
    _mm512_store_ps(w.rest + t, avx512::exp_ps(_mm512_sub_ps(_mm512_set1_ps(sum), g)));
  }
  return w.decay[kTokens - 1];
}

// The decayed triangles.
void decay_triangles(const Shared& s, const Work& w) {
  for (int64_t i = 0; i < kTokens; ++i) {
    const __m512 gi = _mm512_set1_ps(w.sum[i]), beta = _mm512_set1_ps(w.beta[i]);
    for (int64_t j = 0; j < kTokens; j += 16) {
      const int64_t at = i * kTokens + j;
      const __mmask16 through = i >= j ? avx512::live_lanes(i - j + 1) : static_cast<__mmask16>(0);
      const __mmask16 below = i > j ? avx512::live_lanes(i - j) : static_cast<__mmask16>(0);
      const __m512 d = avx512::exp_ps(_mm512_maskz_sub_ps(through, gi, _mm512_load_ps(w.sum + j)));
      const __m512 read =
          _mm512_maskz_mul_ps(through, d, _mm512_maskz_loadu_ps(through, s.qk + at));
      const __m512 tri = _mm512_maskz_mul_ps(below, _mm512_mul_ps(d, beta),
                                             _mm512_maskz_loadu_ps(below, s.kk + at));
      _mm512_store_ps(w.triangle + at, tri);
      _mm256_store_si256(reinterpret_cast<__m256i*>(w.read + at), round_row(read));
      const __m512 minus = _mm512_sub_ps(_mm512_setzero_ps(), tri);
      _mm256_store_si256(reinterpret_cast<__m256i*>(w.before + at), round_row(minus));
    }
  }
}

// X and the part of O that comes from the state before the chunk.
void read_state(const DeltaArgs& a, const Shared& s, const Work& w) {
  const int64_t n = a.columns, dk = a.key_dim;
  for (int64_t i = 0; i < dk; i += 2) {
    const float* row = a.state + i * a.state_stride;
    for (int64_t j = 0; j < n; j += 16) {
      const __m512i pairs =
          round_pairs(_mm512_loadu_ps(row + j), _mm512_loadu_ps(row + a.state_stride + j));
      _mm512_store_si512(w.state + i * n + 2 * j, pairs);
    }
  }
  for (int64_t t = 0; t < kTokens; t += 32) {
    for (int64_t j = 0; j < n; j += 32) {
      product<false>(w.x + t * n + j, n, s.k + t * dk, dk, w.state + 2 * j, 2 * n, dk);
      product<false>(a.o + t * a.o_stride + j, a.o_stride, s.q + t * dk, dk, w.state + 2 * j, 2 * n,
                     dk);
    }
  }
  for (int64_t t = 0; t < kTokens; ++t) {
    const __m512 decay = _mm512_set1_ps(w.decay[t]), beta = _mm512_set1_ps(w.beta[t]);
    const float* v = a.v + t * a.v_stride;
    float *x = w.x + t * n, *o = a.o + t * a.o_stride;
    for (int64_t j = 0; j < n; j += 16) {
      const __m512 left = _mm512_fnmadd_ps(decay, _mm512_load_ps(x + j), _mm512_loadu_ps(v + j));
      _mm512_store_ps(x + j, _mm512_mul_ps(beta, left));
      _mm512_storeu_ps(o + j, _mm512_mul_ps(decay, _mm512_loadu_ps(o + j)));
    }
  }
}

// Rows [first, first + 16) of X become rows of N, given what earlier rows contribute is taken off;
// V vectors of columns at a time.
template <int V>
void solve_16(const Work& w, int64_t first, int64_t columns) {
  for (int64_t j = 0; j < columns; j += 16 * V) {
    for (int64_t i = 1; i < 16; ++i) {
      float* row = w.x + (first + i) * columns + j;
      const float* factors = w.triangle + (first + i) * kTokens + first;
      __m512 sum[V];
      for (int v = 0; v < V; ++v) sum[v] = _mm512_load_ps(row + 16 * v);
      for (int64_t l = 0; l < i; ++l) {
        const __m512 factor = _mm512_set1_ps(factors[l]);
        const float* earlier = w.x + (first + l) * columns + j;
        for (int v = 0; v < V; ++v)
          sum[v] = _mm512_fnmadd_ps(factor, _mm512_load_ps(earlier + 16 * v), sum[v]);
      }
      for (int v = 0; v < V; ++v) _mm512_store_ps(row + 16 * v, sum[v]);
    }
  }
}

void solve(const DeltaArgs& a, const Work& w) {
  const int64_t n = a.columns;
  for (int64_t first = 0; first < kTokens; first += 16) {
    if (first > 0) add_product_16(w.x + first * n, w.before + first * kTokens, w.written, n, first);
    if (n % 64 == 0) {
      solve_16<4>(w, first, n);
    } else {
      solve_16<2>(w, first, n);
    }
    for (int64_t t = first; t < first + 16; t += 2) {
      const __m512 rest0 = _mm512_set1_ps(w.rest[t]), rest1 = _mm512_set1_ps(w.rest[t + 1]);
      for (int64_t j = 0; j < n; j += 16) {
        const __m512 even = _mm512_load_ps(w.x + t * n + j);
        const __m512 odd = _mm512_load_ps(w.x + (t + 1) * n + j);
        _mm512_store_si512(w.written + t * n + 2 * j, round_pairs(even, odd));
        _mm512_store_si512(w.kept + t * n + 2 * j,
                           round_pairs(_mm512_mul_ps(even, rest0), _mm512_mul_ps(odd, rest1)));
      }
    }
    // Products take 32 tokens: those of the second half are not there yet.
    if (first % 32 == 0) {
      for (int64_t i = 0; i < 16 * n; i += 32)
        _mm512_store_si512(w.written + (first + 16) * n + i, _mm512_setzero_si512());
    }
  }
}

// What the chunk adds to O and to the state.
void write_state(const DeltaArgs& a, const Shared& s, const Work& w, float decay) {
  const int64_t n = a.columns, dk = a.key_dim;
  for (int64_t t = 0; t < kTokens; t += 32) {
    for (int64_t j = 0; j < n; j += 32) {
      product<true>(a.o + t * a.o_stride + j, a.o_stride, w.read + t * kTokens, kTokens,
                    w.written + 2 * j, 2 * n, t + 32);
    }
  }
  const __m512 by = _mm512_set1_ps(decay);
  for (int64_t i = 0; i < dk; ++i) {
    float* row = a.state + i * a.state_stride;
    for (int64_t j = 0; j < n; j += 16)
      _mm512_storeu_ps(row + j, _mm512_mul_ps(by, _mm512_loadu_ps(row + j)));
  }
  for (int64_t i = 0; i < dk; i += 32) {
    for (int64_t j = 0; j < n; j += 32) {
      product<true>(a.state + i * a.state_stride + j, a.state_stride, s.k_left + i * kTokens,
                    kTokens, w.kept + 2 * j, 2 * n, kTokens);
    }
  }
}

}  // namespace

void prepare_delta_chunk(void* shared, const float* q, int64_t q_stride, const float* k,
                         int64_t k_stride, int64_t key_dim) {
  const Shared s(shared, key_dim);
  round_rows(s.q, q, q_stride, key_dim);
  round_rows(s.k, k, k_stride, key_dim);
  turn_keys(s, key_dim);
  tile_configure(kFullTiles);
  for (int64_t i = 0; i < kTokens; i += 32) {
    for (int64_t j = 0; j <= i; j += 32) {
      product<false>(s.qk + i * kTokens + j, kTokens, s.q + i * key_dim, key_dim, s.k_right + 2 * j,
                     2 * kTokens, key_dim);
      product<false>(s.kk + i * kTokens + j, kTokens, s.k + i * key_dim, key_dim, s.k_right + 2 * j,
                     2 * kTokens, key_dim);
    }
  }
  tile_release();
}

void run_delta_chunk(const DeltaArgs& args, const void* shared, void* scratch) {
  // Only read here.
  const Shared s(const_cast<void*>(shared), args.key_dim);
  const Work w(scratch, args.key_dim, args.columns);
  const float decay = sum_decays(args, w);
  decay_triangles(s, w);
  tile_configure(kFullTiles);
  read_state(args, s, w);
  solve(args, w);
  write_state(args, s, w, decay);
  tile_release();
}

}  // namespace headgate::HEADGATE_AMX
