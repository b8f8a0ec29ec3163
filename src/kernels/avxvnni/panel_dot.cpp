// Packed panels times int8 activations with VNNI in vectors of 32 bytes: processors that have it
// without AVX-512. Few rows are multiplied as one stream of memory; for more the codes of a block
// are unpacked once, and twelve sums of two halves of a panel by six rows fill the registers.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/avx2/panel_unpack.h"
#include "kernels/avxvnni/kernels.h"

namespace headgate::avxvnni {
namespace {

using avx2::Group;

// How a format's integer sums become values: w = scale * (code - kOffset) - min.
template <typename Panel>
struct Traits {
  static constexpr int kOffset = 0;
  static constexpr bool kMins = false, kHalfScales = false;
};
template <>
struct Traits<PanelQ4K> {
  static constexpr int kOffset = 0;
  static constexpr bool kMins = true, kHalfScales = false;
};
template <>
struct Traits<PanelQ5K> : Traits<PanelQ4K> {};
template <>
struct Traits<PanelQ6K> {
  static constexpr int kOffset = 32;
  static constexpr bool kMins = false, kHalfScales = true;
};
template <>
struct Traits<PanelQ80> {
  static constexpr int kOffset = 128;
  static constexpr bool kMins = false, kHalfScales = false;
};
template <>
struct Traits<PanelIQ4NL> : Traits<PanelQ80> {};
template <>
struct Traits<PanelIQ4XS> : Traits<PanelQ80> {};
template <>
struct Traits<PanelQ40> {
  static constexpr int kOffset = 8;
  static constexpr bool kMins = false, kHalfScales = false;
};
template <>
struct Traits<PanelMXFP4> {
  static constexpr int kOffset = 12;
  static constexpr bool kMins = false, kHalfScales = false;
};

// What is fetched lies so far ahead in the one stream of memory that a core reads.
constexpr int64_t kAheadBytes = 96 * 64;
constexpr int64_t kFewRows = 4;
constexpr int64_t kTileRows = 128;  // rows whose sums (8 KiB) stay in L1

__attribute__((always_inline)) inline __m256i broadcast4(const int8_t* codes) {
  int32_t word;
  memcpy(&word, codes, sizeof word);
  return _mm256_set1_epi32(word);
}

// What the sum of a group (half < 0) or half of it starts with, so that the codes' offset needs no
// instruction later.
template <typename Panel>
__attribute__((always_inline)) inline __m256i first_sum(const ActivationBlock& x, int g, int half) {
  if (Traits<Panel>::kOffset == 0) return _mm256_setzero_si256();
  const int32_t codes = half < 0 ? x.half[2 * g] + x.half[2 * g + 1] : x.half[2 * g + half];
  return _mm256_set1_epi32(-Traits<Panel>::kOffset * codes);
}

// sum + scale * dot of the activations: the same operations for few rows and many.
__attribute__((always_inline)) inline __m256 add_dot(__m256 sum, __m256i dot, __m256 scale,
                                                     __m256 factor) {
  return _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dot), scale), factor, sum);
}

template <typename Panel>
__attribute__((always_inline)) inline __m256 add_group(__m256 sum, const Group& w,
                                                       const ActivationBlock& x, int g) {
  using Rule = Traits<Panel>;
  const int8_t* codes = x.code + 32 * g;
  __m256i low = first_sum<Panel>(x, g, Rule::kHalfScales ? 0 : -1);
  __m256i high = Rule::kHalfScales ? first_sum<Panel>(x, g, 1) : _mm256_setzero_si256();
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    low = _mm256_dpbusd_avx_epi32(low, w.low[i], broadcast4(codes + 4 * i));
    high = _mm256_dpbusd_avx_epi32(high, w.high[i], broadcast4(codes + 16 + 4 * i));
  }
  const __m256 factor = _mm256_set1_ps(x.scale[g]);
  if (Rule::kHalfScales)
    return add_dot(add_dot(sum, low, w.scale, factor), high, w.scale_high, factor);
  sum = add_dot(sum, _mm256_add_epi32(low, high), w.scale, factor);
  if (Rule::kMins) sum = _mm256_fnmadd_ps(w.min, _mm256_set1_ps(x.sum[g]), sum);
  return sum;
}

// A panel times T tokens. Its halves take turns at every block: the unpacked codes of one fit the
// registers, and the block is still in L1 for the other.
template <typename Panel, int T>
void panel_times(float* const* y, int64_t column, const ActivationBlock* const* x,
                 const Panel* panel, int64_t blocks) {
  constexpr int64_t kLines = sizeof(Panel) / 64;
  __m256 sum[2][T];
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) sum[0][t] = sum[1][t] = _mm256_setzero_ps();
  for (int64_t b = 0; b < blocks; ++b) {
    const char* ahead = reinterpret_cast<const char*>(panel + b) + kAheadBytes;
#pragma GCC unroll 2
    for (int side = 0; side < 2; ++side) {
      for (int g = 0; g < 8; ++g) {
        const int64_t step = 8 * side + g;
        for (int64_t line = kLines * step / 16; line < kLines * (step + 1) / 16; ++line)
          _mm_prefetch(ahead + 64 * line, _MM_HINT_T0);
        Group w;
        avx2::unpack(w, panel[b], g, side, false);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) sum[side][t] = add_group<Panel>(sum[side][t], w, x[t][b], g);
      }
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) {
    _mm256_storeu_ps(y[t] + column, sum[0][t]);
    _mm256_storeu_ps(y[t] + column + 8, sum[1][t]);
  }
}

template <typename Panel>
void few_rows(float* const* y, const ActivationBlock* const* x, int64_t rows, const Panel* panel,
              int64_t count, int64_t blocks) {
  for (int64_t p = 0; p < count; ++p, panel += blocks) {
    switch (rows) {
      case 1:
        panel_times<Panel, 1>(y, kPanelRows * p, x, panel, blocks);
        break;
      case 2:
        panel_times<Panel, 2>(y, kPanelRows * p, x, panel, blocks);
        break;
      case 3:
        panel_times<Panel, 3>(y, kPanelRows * p, x, panel, blocks);
        break;
      default:
        panel_times<Panel, 4>(y, kPanelRows * p, x, panel, blocks);
        break;
    }
  }
}

// A block's codes as bytes, lines of 16 outputs x 4 inputs, with the scales as floats.
struct Block {
  alignas(64) uint8_t line[8][8][64];
  alignas(64) float scale[8][2][16], min[8][16];
};

template <typename Panel>
void unpack_block(Block& to, const Panel& panel) {
  constexpr int64_t kLines = sizeof(Panel) / 64;
  const char* ahead = reinterpret_cast<const char*>(&panel) + kAheadBytes;
  for (int64_t line = 0; line < kLines; ++line) _mm_prefetch(ahead + 64 * line, _MM_HINT_T0);
  for (int g = 0; g < 8; ++g) {
#pragma GCC unroll 2
    for (int side = 0; side < 2; ++side) {
      Group w;
      avx2::unpack(w, panel, g, side, false);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(to.line[g][i] + 32 * side), w.low[i]);
        _mm256_store_si256(reinterpret_cast<__m256i*>(to.line[g][4 + i] + 32 * side), w.high[i]);
      }
      _mm256_store_ps(to.scale[g][0] + 8 * side, w.scale);
      if (Traits<Panel>::kHalfScales) _mm256_store_ps(to.scale[g][1] + 8 * side, w.scale_high);
      if (Traits<Panel>::kMins) _mm256_store_ps(to.min[g] + 8 * side, w.min);
    }
  }
}

// Adds lines [first, last) of group g times R rows to the sums in `tile` [rows][16].
template <typename Panel, int R>
__attribute__((always_inline)) inline void add_lines(float* tile, const Block& w,
                                                     const ActivationBlock* const* x, int g,
                                                     int half) {
  constexpr int kLines = Traits<Panel>::kHalfScales ? 4 : 8;
  __m256i dot[2][R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
    dot[0][r] = dot[1][r] = first_sum<Panel>(*x[r], g, Traits<Panel>::kHalfScales ? half : -1);
#pragma GCC unroll 8
  for (int i = 4 * half; i < 4 * half + kLines; ++i) {
    const __m256i left = _mm256_load_si256(reinterpret_cast<const __m256i*>(w.line[g][i]));
    const __m256i right = _mm256_load_si256(reinterpret_cast<const __m256i*>(w.line[g][i] + 32));
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m256i in = broadcast4(x[r]->code + 32 * g + 4 * i);
      dot[0][r] = _mm256_dpbusd_avx_epi32(dot[0][r], left, in);
      dot[1][r] = _mm256_dpbusd_avx_epi32(dot[1][r], right, in);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    const __m256 factor = _mm256_set1_ps(x[r]->scale[g]);
#pragma GCC unroll 2
    for (int side = 0; side < 2; ++side) {
      float* at = tile + 16 * r + 8 * side;
      __m256 sum = add_dot(_mm256_load_ps(at), dot[side][r],
                           _mm256_load_ps(w.scale[g][half] + 8 * side), factor);
      if (Traits<Panel>::kMins)
        sum = _mm256_fnmadd_ps(_mm256_load_ps(w.min[g] + 8 * side), _mm256_set1_ps(x[r]->sum[g]),
                               sum);
      _mm256_store_ps(at, sum);
    }
  }
}

template <typename Panel, int R>
void multiply_rows(float* tile, const Block& w, const ActivationBlock* const* x, int64_t block) {
  const ActivationBlock* in[R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) in[r] = x[r] + block;
  for (int g = 0; g < 8; ++g) {
    add_lines<Panel, R>(tile, w, in, g, 0);
    if (Traits<Panel>::kHalfScales) add_lines<Panel, R>(tile, w, in, g, 1);
  }
}

template <typename Panel>
void multiply_some(float* tile, const Block& w, const ActivationBlock* const* x, int64_t rows,
                   int64_t block) {
  switch (rows) {
    case 1:
      return multiply_rows<Panel, 1>(tile, w, x, block);
    case 2:
      return multiply_rows<Panel, 2>(tile, w, x, block);
    case 3:
      return multiply_rows<Panel, 3>(tile, w, x, block);
    case 4:
      return multiply_rows<Panel, 4>(tile, w, x, block);
    case 5:
      return multiply_rows<Panel, 5>(tile, w, x, block);
    default:
      return multiply_rows<Panel, 6>(tile, w, x, block);
  }
}

// Up to kTileRows rows.
template <typename Panel>
void many_rows(float* const* y, const ActivationBlock* const* x, int64_t rows, const Panel* panel,
               int64_t count, int64_t blocks) {
  constexpr int64_t kMost = 6;
  alignas(64) float tile[kTileRows * 16];
  Block block;
  // Rows in groups of nearly equal size: five and five rather than six and four.
  const int64_t groups = (rows + kMost - 1) / kMost;
  for (int64_t p = 0; p < count; ++p) {
    memset(tile, 0, static_cast<size_t>(rows) * 64);
    for (int64_t b = 0; b < blocks; ++b, ++panel) {
      unpack_block(block, *panel);
      int64_t row = 0;
      for (int64_t i = 0; i < groups; ++i) {
        const int64_t n = (rows - row) / (groups - i);
        multiply_some<Panel>(tile + 16 * row, block, x + row, n, b);
        row += n;
      }
    }
    for (int64_t t = 0; t < rows; ++t)
      memcpy(y[t] + kPanelRows * p, tile + 16 * t, 16 * sizeof(float));
  }
}

template <typename Panel>
void dot_all(float* const* y, const ActivationBlock* const* x, int64_t tokens, const void* panels,
             int64_t count, int64_t blocks) {
  const auto* panel = static_cast<const Panel*>(panels);
  if (tokens <= 0) return;
  if (tokens <= kFewRows) return few_rows<Panel>(y, x, tokens, panel, count, blocks);
  const int64_t parts = (tokens + kTileRows - 1) / kTileRows;
  int64_t done = 0;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t rows = (tokens - done) / (parts - part);
    many_rows<Panel>(y + done, x + done, rows, panel, count, blocks);
    done += rows;
  }
}

}  // namespace

void panel_dot_q4k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ4K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q5k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ5K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q6k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ6K>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q80(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ80>(y, x, tokens, panels, count, blocks);
}
void panel_dot_q40(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelQ40>(y, x, tokens, panels, count, blocks);
}
void panel_dot_iq4nl(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelIQ4NL>(y, x, tokens, panels, count, blocks);
}
void panel_dot_iq4xs(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelIQ4XS>(y, x, tokens, panels, count, blocks);
}
void panel_dot_mxfp4(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks) {
  dot_all<PanelMXFP4>(y, x, tokens, panels, count, blocks);
}

}  // namespace headgate::avxvnni
