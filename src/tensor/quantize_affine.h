// Weighted least-squares searches for blocks with a scale and a minimum per sub-block.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tensor/quantize_search.h"

namespace headgate {

// x ~ scale * q - minimum with q in [0, kTop].
struct AffineFit {
  float scale = 0.0f;
  float minimum = 0.0f;
};

// Sums over one sub-block with codes q = round((x + minimum) * inverse).
struct CodeSums {
  float wq = 0.0f, wqq = 0.0f, wqx = 0.0f;
};

template <int N>
CodeSums code_sums(const float* x, const float* w, float inverse, float minimum, float top) {
  float wq = 0.0f, wqq = 0.0f, wqx = 0.0f;
#pragma omp simd reduction(+ : wq, wqq, wqx)
  for (int i = 0; i < N; ++i) {
    const float q = round_to_integer(clamp_level((x[i] + minimum) * inverse, 0.0f, top));
    wq += w[i] * q;
    wqq += w[i] * q * q;
    wqx += w[i] * q * x[i];
  }
  return {wq, wqq, wqx};
}

// sum w (x - (scale * q - minimum))^2 with the best codes.
template <int N>
float affine_error(const float* x, const float* w, AffineFit fit, float top) {
  const float inverse = fit.scale > 0.0f ? 1.0f / fit.scale : 0.0f;
  float error = 0.0f;
#pragma omp simd reduction(+ : error)
  for (int i = 0; i < N; ++i) {
    const float q = round_to_integer(clamp_level((x[i] + fit.minimum) * inverse, 0.0f, top));
    const float rest = x[i] + fit.minimum - fit.scale * q;
    error += w[i] * rest * rest;
  }
  return error;
}

// Least-squares scale and minimum of given codes. With `signed_minimum` false the minimum stays >=
// 0.
inline AffineFit solve_affine(const CodeSums& s, float w_sum, float wx_sum, bool signed_minimum) {
  const float determinant = w_sum * s.wqq - s.wq * s.wq;
  if (!(determinant > 0.0f)) return {};
  AffineFit fit;
  fit.scale = (w_sum * s.wqx - wx_sum * s.wq) / determinant;
  fit.minimum = (s.wq * s.wqx - s.wqq * wx_sum) / determinant;
  if (!signed_minimum && fit.minimum < 0.0f) {
    fit.minimum = 0.0f;
    fit.scale = s.wqq > 0.0f ? s.wqx / s.wqq : 0.0f;
  }
  return fit;
}

// Scale and minimum of one sub-block by the same kind of search as fit_scale.
template <int N>
AffineFit fit_affine(const float* x, const float* w, int top, bool signed_minimum) {
  float low = signed_minimum ? x[0] : 0.0f, high = x[0], w_sum = 0.0f, wx_sum = 0.0f;
  for (int i = 0; i < N; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
    w_sum += w[i];
    wx_sum += w[i] * x[i];
  }
  AffineFit best{0.0f, -low};
  const float range = high - low;
  if (range < kNegligible) return best;
  const auto top_level = static_cast<float>(top);
  best.scale = range / top_level;
  float best_error = affine_error<N>(x, w, best, top_level);
  const auto consider = [&](float inverse, float minimum) {
    const CodeSums sums = code_sums<N>(x, w, inverse, minimum, top_level);
    const AffineFit fit = solve_affine(sums, w_sum, wx_sum, signed_minimum);
    if (!(fit.scale > 0.0f)) return;
    const float error = affine_error<N>(x, w, fit, top_level);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  };
  // With few levels cutting off the tails pays, hence the wider range for two bits.
  const float step = top > 3 ? 0.1f : 0.08f;
  for (int k = -8; k <= 18; ++k) consider((top_level + step * static_cast<float>(k)) / range, -low);
  for (int k = 0; k < 3; ++k) consider(1.0f / best.scale, best.minimum);
  return best;
}

// A block of kBlocks sub-blocks of N values: x ~ d * scales[b] * q - dmin * minimums[b].
template <int kBlocks>
struct AffineBlockFit {
  float d = 0.0f, dmin = 0.0f;  // exact as half floats
  std::array<int, kBlocks> scales{}, minimums{};
  AffineFit at(int b) const {
    return {d * static_cast<float>(scales[static_cast<size_t>(b)]),
            dmin * static_cast<float>(minimums[static_cast<size_t>(b)])};
  }
};

// Normal equations of d and dmin with scales, minimums and codes held.
struct PairSums {
  float aa = 0.0f, ab = 0.0f, bb = 0.0f, xa = 0.0f, xb = 0.0f;
  // Adds a sub-block with its integer scale and minimum.
  void add(const CodeSums& s, float w_sum, float wx_sum, float scale, float minimum) {
    aa += scale * scale * s.wqq;
    ab += scale * minimum * s.wq;
    bb += minimum * minimum * w_sum;
    xa += scale * s.wqx;
    xb += minimum * wx_sum;
  }
  AffineFit solve() const {
    const float determinant = aa * bb - ab * ab;
    if (determinant > 1e-6f * aa * bb) {
      const AffineFit fit{(xa * bb - ab * xb) / determinant, (ab * xa - aa * xb) / determinant};
      if (fit.scale > 0.0f && fit.minimum >= 0.0f) return fit;
    }
    return {aa > 0.0f ? std::max(xa / aa, 0.0f) : 0.0f, 0.0f};
  }
};

// Tries the integers around the wanted scale and minimum of sub-block b; returns the smallest
// error.
template <int N, int kBlocks>
float choose_pair(const float* x, const float* w, AffineFit target, int limit, float top, int b,
                  AffineBlockFit<kBlocks>& fit) {
  const auto wanted = [limit](float value, float unit) {
    return unit > 0.0f ? static_cast<int>(round_to_integer(
                             clamp_level(value / unit, 0.0f, static_cast<float>(limit))))
                       : 0;
  };
  const int scale = wanted(target.scale, fit.d), minimum = wanted(target.minimum, fit.dmin);
  float best = std::numeric_limits<float>::infinity();
  for (int ds = -1; ds <= 1; ++ds) {
    for (int dm = -1; dm <= 1; ++dm) {
      const int s = std::clamp(scale + ds, 0, limit), m = std::clamp(minimum + dm, 0, limit);
      const AffineFit candidate{fit.d * static_cast<float>(s), fit.dmin * static_cast<float>(m)};
      const float error = affine_error<N>(x, w, candidate, top);
      if (error < best) {
        best = error;
        fit.scales[static_cast<size_t>(b)] = s;
        fit.minimums[static_cast<size_t>(b)] = m;
      }
    }
  }
  return best;
}

// Fits a block with integer scales and minimums in [0, limit] and codes in [0, top].
template <int N, int kBlocks>
AffineBlockFit<kBlocks> fit_affine_block(const float* x, const float* w, int limit, int top) {
  std::array<AffineFit, kBlocks> targets;
  float peak_scale = 0.0f, peak_minimum = 0.0f;
  for (int b = 0; b < kBlocks; ++b) {
    AffineFit& target = targets[static_cast<size_t>(b)];
    target = fit_affine<N>(x + b * N, w + b * N, top, /*signed_minimum=*/false);
    peak_scale = std::max(peak_scale, target.scale);
    peak_minimum = std::max(peak_minimum, target.minimum);
  }
  AffineBlockFit<kBlocks> best;
  if (peak_scale < kNegligible && peak_minimum < kNegligible) return best;
  const auto top_level = static_cast<float>(top);
  AffineFit units{half_at_least(peak_scale / static_cast<float>(limit)),
                  half_at_least(peak_minimum / static_cast<float>(limit))};
  float best_error = std::numeric_limits<float>::infinity();
  for (int round = 0; round < 4; ++round) {
    AffineBlockFit<kBlocks> fit;
    fit.d = units.scale;
    fit.dmin = units.minimum;
    float error = 0.0f;
    PairSums pair;
    for (int b = 0; b < kBlocks; ++b) {
      const float *xb = x + b * N, *wb = w + b * N;
      error += choose_pair<N>(xb, wb, targets[static_cast<size_t>(b)], limit, top_level, b, fit);
      float w_sum = 0.0f, wx_sum = 0.0f;
      for (int i = 0; i < N; ++i) {
        w_sum += wb[i];
        wx_sum += wb[i] * xb[i];
      }
      const AffineFit now = fit.at(b);
      const float inverse = now.scale > 0.0f ? 1.0f / now.scale : 0.0f;
      pair.add(code_sums<N>(xb, wb, inverse, now.minimum, top_level), w_sum, wx_sum,
               static_cast<float>(fit.scales[static_cast<size_t>(b)]),
               static_cast<float>(fit.minimums[static_cast<size_t>(b)]));
    }
    if (error >= best_error) break;
    best = fit;
    best_error = error;
    const AffineFit solved = pair.solve();
    units = {nearest_half(solved.scale), nearest_half(solved.minimum)};
  }
  return best;
}

}  // namespace headgate
