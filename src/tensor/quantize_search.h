// Weighted least-squares searches for the scales and codes of quantisation blocks.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tensor/blocks.h"

namespace headgate {

// Loops below are short, of constant length, and written so that compilers vectorise them at any
// optimisation level that vectorises at all (reductions are declared, hence "omp simd").

// Nearest integer, ties to even, for |v| < 2^22: adding 1.5 * 2^23 leaves no fraction bits.
inline float round_to_integer(float v) { return (v + 12582912.0f) - 12582912.0f; }

// NaN gives `low`.
inline float clamp_level(float v, float low, float high) {
  return std::max(low, std::min(v, high));
}

// The positive half-float at or above v, so that a scale never falls short of what it must cover.
inline float half_at_least(float v) {
  uint16_t half = float_to_fp16(std::min(v, 65504.0f));
  if (fp16_to_float(half) < v && half < 0x7bffu) ++half;
  return fp16_to_float(half);
}

inline float nearest_half(float v) {
  return fp16_to_float(float_to_fp16(clamp_level(v, -65504.0f, 65504.0f)));
}

// Levels that one scale multiplies: a range of integers.
template <int kLow, int kHigh>
struct IntegerGrid {
  static constexpr float kFarthest = static_cast<float>(kLow);  // the level of largest magnitude
  // With few levels it matters which end the extra level is on.
  static constexpr bool kTryBothSigns = kHigh < 16;
  static float nearest(float v) {
    return clamp_level(round_to_integer(clamp_level(v, -1e6f, 1e6f)), static_cast<float>(kLow),
                       static_cast<float>(kHigh));
  }
};

// The index of the codebook value nearest to v.
inline int nearest_codebook_index(float v) {
  // Values are at least 9 apart, so a table of unit steps leaves at most one boundary to compare
  // with.
  static constexpr auto kBelow = [] {
    std::array<int8_t, 256> below{};
    for (int i = 0; i < 256; ++i) {
      int code = 0;
      while (code < 14 && kCodebook[static_cast<size_t>(code) + 1] <= i - 128) ++code;
      below[static_cast<size_t>(i)] = static_cast<int8_t>(code);
    }
    return below;
  }();
  const float c = clamp_level(v, -127.0f, 113.0f);
  const auto code = static_cast<size_t>(kBelow[static_cast<size_t>(c + 128.0f)]);
  const float middle = 0.5f * static_cast<float>(kCodebook[code] + kCodebook[code + 1]);
  return static_cast<int>(code) + (c > middle ? 1 : 0);
}

// Levels that one scale multiplies: the non-linear codebook.
struct CodebookGrid {
  static constexpr float kFarthest = -127.0f;
  static constexpr bool kTryBothSigns = true;
  static float nearest(float v) {
    return static_cast<float>(kCodebook[static_cast<size_t>(nearest_codebook_index(v))]);
  }
};

// Sums over one sub-block with levels l = nearest(x * inverse).
struct LevelSums {
  float wxl = 0.0f;  // sum w x l
  float wll = 0.0f;  // sum w l l
  // What the best scale takes off sum w x x.
  float gain() const { return wll > 0.0f ? wxl * wxl / wll : 0.0f; }
  float scale() const { return wll > 0.0f ? wxl / wll : 0.0f; }
};

template <typename Grid, int N>
LevelSums level_sums(const float* x, const float* w, float inverse) {
  float wxl = 0.0f, wll = 0.0f;
#pragma omp simd reduction(+ : wxl, wll)
  for (int i = 0; i < N; ++i) {
    const float level = Grid::nearest(x[i] * inverse);
    wxl += w[i] * x[i] * level;
    wll += w[i] * level * level;
  }
  return {wxl, wll};
}

// sum w (x - scale * nearest(x / scale))^2; a zero scale gives sum w x x.
template <typename Grid, int N>
float scale_error(const float* x, const float* w, float scale) {
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  float error = 0.0f;
#pragma omp simd reduction(+ : error)
  for (int i = 0; i < N; ++i) {
    const float rest = x[i] - scale * Grid::nearest(x[i] * inverse);
    error += w[i] * rest * rest;
  }
  return error;
}

inline float peak_value(const float* x, int n) {
  float peak = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(peak)) peak = x[i];
  }
  return peak;
}

inline constexpr float kNegligible = 1e-15f;  // blocks whose values stay below are stored as zeros

// The scale of one sub-block: candidates around the one that maps the peak to the farthest level,
// each followed by its least-squares scale; then the winner is rounded anew until it settles.
template <typename Grid, int N>
float fit_scale(const float* x, const float* w) {
  const float peak = peak_value(x, N);
  if (std::fabs(peak) < kNegligible) return 0.0f;
  LevelSums best;
  const auto consider = [&](float inverse) {
    const LevelSums sums = level_sums<Grid, N>(x, w, inverse);
    if (sums.gain() > best.gain()) best = sums;
  };
  // The range holds the optimum of normal, Laplace and Student-t samples; finer steps gain below
  // 0.1 %.
  const float unit = std::fabs(Grid::kFarthest) / 8.0f;
  const float step = std::min(0.125f * std::max(unit, 1.0f), 0.3f * unit);
  for (int k = -8; k <= 14; ++k) {
    const float inverse = (Grid::kFarthest - step * static_cast<float>(k)) / peak;
    consider(inverse);
    if (Grid::kTryBothSigns) consider(-inverse);
  }
  for (int k = 0; k < 3 && best.scale() != 0.0f; ++k) consider(1.0f / best.scale());
  return best.scale();
}

// A block of kBlocks sub-blocks of N values: x ~ d * scales[b] * level.
template <int kBlocks>
struct ScaledFit {
  float d = 0.0f;  // exact as a half float
  std::array<int, kBlocks> scales{};
};

// Chooses integer scales in [kLow, kHigh] for a given d; returns the error and the least-squares d
// of the result in *refit.
template <typename Grid, int N, int kBlocks, int kLow, int kHigh>
float choose_scales(const float* x, const float* w, const std::array<float, kBlocks>& targets,
                    ScaledFit<kBlocks>& fit, float* refit) {
  float total = 0.0f, wxl = 0.0f, wll = 0.0f;
  for (int b = 0; b < kBlocks; ++b) {
    const auto bi = static_cast<size_t>(b);
    const float wanted = round_to_integer(clamp_level(targets[bi] / fit.d, -1e6f, 1e6f));
    float best = std::numeric_limits<float>::infinity();
    for (int k = -1; k <= 1; ++k) {
      const int scale = std::clamp(static_cast<int>(wanted) + k, kLow, kHigh);
      const float error =
          scale_error<Grid, N>(x + b * N, w + b * N, fit.d * static_cast<float>(scale));
      if (error < best) {
        best = error;
        fit.scales[bi] = scale;
      }
    }
    total += best;
    const auto scale = static_cast<float>(fit.scales[bi]);
    if (scale == 0.0f) continue;
    const LevelSums sums = level_sums<Grid, N>(x + b * N, w + b * N, 1.0f / (fit.d * scale));
    wxl += scale * sums.wxl;
    wll += scale * scale * sums.wll;
  }
  *refit = wll > 0.0f ? wxl / wll : 0.0f;
  return total;
}

// Fits d and the integer scales of a block; alternates between the two while the error falls.
template <typename Grid, int N, int kBlocks, int kLow, int kHigh>
ScaledFit<kBlocks> fit_scaled(const float* x, const float* w) {
  std::array<float, kBlocks> targets{};
  for (int b = 0; b < kBlocks; ++b) {
    targets[static_cast<size_t>(b)] = fit_scale<Grid, N>(x + b * N, w + b * N);
  }
  const float peak = peak_value(targets.data(), kBlocks);
  if (std::fabs(peak) < kNegligible) return {};
  // The largest scale goes to kLow, the end with one value more.
  float d = std::copysign(half_at_least(std::fabs(peak) / static_cast<float>(-kLow)), -peak);
  ScaledFit<kBlocks> best;
  float best_error = std::numeric_limits<float>::infinity();
  for (int round = 0; round < 4 && d != 0.0f; ++round) {
    ScaledFit<kBlocks> fit;
    fit.d = d;
    float refit = 0.0f;
    const float error = choose_scales<Grid, N, kBlocks, kLow, kHigh>(x, w, targets, fit, &refit);
    if (error >= best_error) break;
    best = fit;
    best_error = error;
    d = nearest_half(refit);
    if (d == fit.d) break;
  }
  return best;
}

}  // namespace headgate
