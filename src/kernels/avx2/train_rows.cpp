// Rows of training: slopes, exponentials, sums and the AdamW update.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx2/train.h"
#include "kernels/avx2/vector.h"

namespace headgate::avx2 {
namespace {

inline __m256 logistic(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 e = exp_ps(_mm256_sub_ps(_mm256_setzero_ps(), x));
  return _mm256_div_ps(one, _mm256_add_ps(one, e));
}

// s (1 + x (1 - s)).
inline __m256 slope_of(__m256 x, __m256 s) {
  const __m256 one = _mm256_set1_ps(1.0f);
  return _mm256_mul_ps(s, _mm256_fmadd_ps(x, _mm256_sub_ps(one, s), one));
}

void sigmoids(const float* x, int64_t n, float* s) {
  for (int64_t i = 0; i < n; i += 8) store_some(s + i, logistic(load_some(x + i, n - i)), n - i);
}

void silu_times(const float* gate, const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 g = load_some(gate + i, n - i);
    const __m256 silu = _mm256_mul_ps(g, logistic(g));
    store_some(y + i, _mm256_mul_ps(silu, load_some(x + i, n - i)), n - i);
  }
}

void silu_and_slope(const float* x, int64_t n, float* silu, float* slope) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 in = load_some(x + i, n - i), s = logistic(in);
    store_some(silu + i, _mm256_mul_ps(in, s), n - i);
    store_some(slope + i, slope_of(in, s), n - i);
  }
}

void swiglu_backward(const float* dy, const float* a, const float* b, int64_t n, float* da,
                     float* db) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 in = load_some(a + i, n - i), s = logistic(in);
    const __m256 grad = load_some(dy + i, n - i), up = load_some(b + i, n - i);
    store_some(da + i, _mm256_mul_ps(_mm256_mul_ps(grad, up), slope_of(in, s)), n - i);
    store_some(db + i, _mm256_mul_ps(grad, _mm256_mul_ps(in, s)), n - i);
  }
}

float exp_minus(const float* x, float shift, int64_t n, float* y) {
  const __m256 by = _mm256_set1_ps(shift);
  __m256 sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 e = exp_ps(_mm256_sub_ps(load_some(x + i, n - i), by));
    store_some(y + i, e, n - i);
    sum = _mm256_add_ps(sum, _mm256_and_ps(e, _mm256_castsi256_ps(live_lanes(n - i))));
  }
  return sum_lanes(sum);
}

float dot(const float* a, const float* b, int64_t n) {
  __m256 sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; i += 8) {
    sum = _mm256_fmadd_ps(load_some(a + i, n - i), load_some(b + i, n - i), sum);
  }
  return sum_lanes(sum);
}

void axpy(float* y, const float* x, float s, int64_t n) {
  const __m256 by = _mm256_set1_ps(s);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 product = _mm256_mul_ps(by, load_some(x + i, n - i));
    store_some(y + i, _mm256_add_ps(load_some(y + i, n - i), product), n - i);
  }
}

void multiply_add(float* y, const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 product = _mm256_mul_ps(load_some(a + i, n - i), load_some(b + i, n - i));
    store_some(y + i, _mm256_add_ps(load_some(y + i, n - i), product), n - i);
  }
}

void scale(float* y, const float* x, float s, int64_t n) {
  const __m256 by = _mm256_set1_ps(s);
  for (int64_t i = 0; i < n; i += 8) {
    store_some(y + i, _mm256_mul_ps(by, load_some(x + i, n - i)), n - i);
  }
}

void adamw(const AdamArgs& args, int64_t n, float* w, const float* gradient, float* m, float* v) {
  const __m256 beta1 = _mm256_set1_ps(args.beta1), beta2 = _mm256_set1_ps(args.beta2);
  const __m256 new1 = _mm256_set1_ps(1.0f - args.beta1), new2 = _mm256_set1_ps(1.0f - args.beta2);
  const __m256 keep = _mm256_set1_ps(args.keep), rate = _mm256_set1_ps(args.rate);
  const __m256 root = _mm256_set1_ps(args.inverse_root), epsilon = _mm256_set1_ps(args.epsilon);
  const __m256 scale = _mm256_set1_ps(args.scale);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 g = _mm256_mul_ps(load_some(gradient + i, n - i), scale);
    const __m256 first = _mm256_fmadd_ps(beta1, load_some(m + i, n - i), _mm256_mul_ps(new1, g));
    const __m256 second =
        _mm256_fmadd_ps(beta2, load_some(v + i, n - i), _mm256_mul_ps(new2, _mm256_mul_ps(g, g)));
    const __m256 size = _mm256_fmadd_ps(_mm256_sqrt_ps(second), root, epsilon);
    const __m256 move = _mm256_div_ps(_mm256_mul_ps(rate, first), size);
    store_some(m + i, first, n - i);
    store_some(v + i, second, n - i);
    store_some(w + i, _mm256_fmsub_ps(load_some(w + i, n - i), keep, move), n - i);
  }
}

}  // namespace

void fill_train(TrainTable& table) {
  table.product_columns = 16;
  table.tile_f32 = tile_f32;
  table.sigmoids = sigmoids;
  table.silu_times = silu_times;
  table.silu_and_slope = silu_and_slope;
  table.swiglu_backward = swiglu_backward;
  table.exp_minus = exp_minus;
  table.dot = dot;
  table.axpy = axpy;
  table.multiply_add = multiply_add;
  table.scale = scale;
  table.adamw = adamw;
}

}  // namespace headgate::avx2
