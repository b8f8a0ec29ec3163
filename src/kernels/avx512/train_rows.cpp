// Rows of training: slopes, exponentials, sums and the AdamW update.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/train.h"
#include "kernels/avx512/vector.h"

namespace headgate::avx512 {
namespace {

void sigmoids(const float* x, int64_t n, float* s) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    _mm512_mask_storeu_ps(s + i, live, sigmoid_ps(_mm512_maskz_loadu_ps(live, x + i)));
  }
}

void silu_times(const float* gate, const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 silu = silu_ps(_mm512_maskz_loadu_ps(live, gate + i));
    _mm512_mask_storeu_ps(y + i, live, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(live, x + i)));
  }
}

// s (1 + x (1 - s)).
inline __m512 slope_of(__m512 x, __m512 s) {
  const __m512 one = _mm512_set1_ps(1.0f);
  return _mm512_mul_ps(s, _mm512_fmadd_ps(x, _mm512_sub_ps(one, s), one));
}

void silu_and_slope(const float* x, int64_t n, float* silu, float* slope) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 in = _mm512_maskz_loadu_ps(live, x + i), s = sigmoid_ps(in);
    _mm512_mask_storeu_ps(silu + i, live, _mm512_mul_ps(in, s));
    _mm512_mask_storeu_ps(slope + i, live, slope_of(in, s));
  }
}

void swiglu_backward(const float* dy, const float* a, const float* b, int64_t n, float* da,
                     float* db) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 in = _mm512_maskz_loadu_ps(live, a + i), s = sigmoid_ps(in);
    const __m512 grad = _mm512_maskz_loadu_ps(live, dy + i);
    const __m512 up = _mm512_maskz_loadu_ps(live, b + i);
    _mm512_mask_storeu_ps(da + i, live, _mm512_mul_ps(_mm512_mul_ps(grad, up), slope_of(in, s)));
    _mm512_mask_storeu_ps(db + i, live, _mm512_mul_ps(grad, _mm512_mul_ps(in, s)));
  }
}

float exp_minus(const float* x, float shift, int64_t n, float* y) {
  const __m512 by = _mm512_set1_ps(shift);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 e = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(live, x + i), by));
    _mm512_mask_storeu_ps(y + i, live, e);
    sum = _mm512_mask_add_ps(sum, live, sum, e);
  }
  return _mm512_reduce_add_ps(sum);
}

float dot(const float* a, const float* b, int64_t n) {
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t i = 0; i < n; i += 32) {
    for (int half = 0; half < 2; ++half) {
      const int64_t at = i + 16 * half;
      if (at >= n) break;
      const __mmask16 live = live_lanes(n - at);
      sum[half] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(live, a + at),
                                  _mm512_maskz_loadu_ps(live, b + at), sum[half]);
    }
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
}

void axpy(float* y, const float* x, float s, int64_t n) {
  const __m512 by = _mm512_set1_ps(s);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 product = _mm512_mul_ps(by, _mm512_maskz_loadu_ps(live, x + i));
    _mm512_mask_storeu_ps(y + i, live, _mm512_add_ps(_mm512_maskz_loadu_ps(live, y + i), product));
  }
}

void multiply_add(float* y, const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 product =
        _mm512_mul_ps(_mm512_maskz_loadu_ps(live, a + i), _mm512_maskz_loadu_ps(live, b + i));
    _mm512_mask_storeu_ps(y + i, live, _mm512_add_ps(_mm512_maskz_loadu_ps(live, y + i), product));
  }
}

void scale(float* y, const float* x, float s, int64_t n) {
  const __m512 by = _mm512_set1_ps(s);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    _mm512_mask_storeu_ps(y + i, live, _mm512_mul_ps(by, _mm512_maskz_loadu_ps(live, x + i)));
  }
}

double square_sum(const float* x, int64_t n) {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  for (int64_t i = 0; i < n; i += 16) {
    const __m512 in = _mm512_maskz_loadu_ps(live_lanes(n - i), x + i);
    const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(in));
    const __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(in, 1));
    low = _mm512_fmadd_pd(a, a, low);
    high = _mm512_fmadd_pd(b, b, high);
  }
  return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}

void adamw(const AdamArgs& args, int64_t n, float* w, const float* gradient, float* m, float* v) {
  const __m512 beta1 = _mm512_set1_ps(args.beta1), beta2 = _mm512_set1_ps(args.beta2);
  const __m512 new1 = _mm512_set1_ps(1.0f - args.beta1), new2 = _mm512_set1_ps(1.0f - args.beta2);
  const __m512 keep = _mm512_set1_ps(args.keep), rate = _mm512_set1_ps(args.rate);
  const __m512 root = _mm512_set1_ps(args.inverse_root), epsilon = _mm512_set1_ps(args.epsilon);
  const __m512 scale = _mm512_set1_ps(args.scale);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = live_lanes(n - i);
    const __m512 g = _mm512_mul_ps(_mm512_maskz_loadu_ps(live, gradient + i), scale);
    const __m512 first =
        _mm512_fmadd_ps(beta1, _mm512_maskz_loadu_ps(live, m + i), _mm512_mul_ps(new1, g));
    const __m512 second = _mm512_fmadd_ps(beta2, _mm512_maskz_loadu_ps(live, v + i),
                                          _mm512_mul_ps(new2, _mm512_mul_ps(g, g)));
    const __m512 size = _mm512_fmadd_ps(_mm512_sqrt_ps(second), root, epsilon);
    const __m512 move = _mm512_div_ps(_mm512_mul_ps(rate, first), size);
    _mm512_mask_storeu_ps(m + i, live, first);
    _mm512_mask_storeu_ps(v + i, live, second);
    _mm512_mask_storeu_ps(w + i, live,
                          _mm512_fmsub_ps(_mm512_maskz_loadu_ps(live, w + i), keep, move));
  }
}

}  // namespace

void fill_train(TrainTable& table) {
  table.product_columns = 32;
  table.tile_f32 = tile_f32;
  table.transpose = transpose;
  table.sigmoids = sigmoids;
  table.silu_times = silu_times;
  table.silu_and_slope = silu_and_slope;
  table.swiglu_backward = swiglu_backward;
  table.exp_minus = exp_minus;
  table.dot = dot;
  table.axpy = axpy;
  table.multiply_add = multiply_add;
  table.scale = scale;
  table.square_sum = square_sum;
  table.adamw = adamw;
}

}  // namespace headgate::avx512
