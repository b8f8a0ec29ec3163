// The contract of every kernel: what it computes, whatever the instruction set.
#pragma once

#include <stdint.h>

#include "kernels/delta_chunk.h"
#include "kernels/kv_tile.h"
#include "kernels/panel.h"
#include "kernels/tile_product.h"

namespace headgate {

// Types of stored rows that kernels read directly.
enum FloatFormat { kFloatF32, kFloatF16, kFloatBF16, kFloatFormats };

constexpr int64_t kTileRows = 16;        // most weight rows per call of dot_rows
constexpr int64_t kDeltaColumns = 64;    // most value columns per call of gated_delta
constexpr int64_t kMaxConvWidth = 16;    // widest convolution
constexpr int64_t kAttentionRows = 32;   // most query rows per call of attention
constexpr float kQueryCodes = 16256.0f;  // largest code of a query of an int8 cache: 127 * 128
// What attention needs besides its arguments: scores and weights of kAttentionRows.
constexpr int64_t kAttentionScratchBytes = kAttentionRows * kKvSegment * 8;

// Bytes of a query that pack_query has prepared; a multiple of 64.
static constexpr int64_t packed_query_bytes(int64_t dims) { return 64 + 4 * dims; }

// Columns of one value head of one sequence, over consecutive tokens.
struct DeltaArgs {
  float* state;  // [key_dim, state_stride], its first `columns` columns
  int64_t state_stride;
  const float* q;  // [tokens, key_dim], rows qk_stride apart
  const float* k;
  int64_t q_stride, k_stride;
  const float* v;  // [tokens, columns]
  int64_t v_stride;
  float* o;  // [tokens, columns]
  int64_t o_stride;
  const float* g;     // [tokens], log of the decay
  const float* beta;  // [tokens]
  int64_t g_stride, beta_stride;
  int64_t tokens, key_dim, columns;
};

// Query rows against the cached tokens of one segment of one KV head; layout in kv_tile.h.
struct AttentionArgs {
  const void* queries;       // [rows] of packed_query_bytes(dims), 64-byte aligned
  int64_t rows;              // 1..kAttentionRows
  const int32_t* visible;    // [rows] tokens each row may see, 0..tokens
  int64_t tokens;            // 1..kKvSegment
  int64_t dims;              // of the head, padded
  const void* keys;          // tile of the first token
  int64_t key_stride;        // bytes between key tiles
  const float* key_scales;   // int8: [tokens]
  const void* values;        // tile of the first 16 dims, at the first token
  int64_t value_stride;      // bytes between value tiles
  const void* value_scales;  // int8: fp32 [tokens]; 4-bit: fp16 [dims / 32][tokens]
  int64_t scale_stride;      // 4-bit: bytes between groups of value_scales
  bool stream;               // the tokens are probably not in a cache yet
  const void* next;          // keys that will be read after these; null when unknown
  void* scratch;             // kAttentionScratchBytes, 64-byte aligned
  float* max;                // [rows] largest score, -inf for a row that sees nothing
  float* sum;                // [rows] sum of 2^(score - max)
  float* out;                // [rows, dims] sums of 2^(score - max) * value, 64-byte aligned
};

// The two belong together: a level packs queries as its kernel reads them.
struct AttentionKernel {
  // dst = q * scale [dims], zeros behind the first n. Callers put log2(e) into the scale: scores
  // are exponents of 2.
  void (*pack_query)(void* dst, const float* q, int64_t n, int64_t dims, float scale);
  // Softmax sums of rows over one segment. A row's results depend on its visible tokens alone.
  void (*run)(const AttentionArgs& args);
};

// All arrays are unaligned unless stated, of any length n >= 0, and rows never influence each
// other: each output is added up in one order that depends on the lengths alone.
struct KernelTable {
  // y[i] = x[i] / sqrt(mean(x^2) + eps) * w[i]. y may be x.
  void (*rms_norm)(float* y, const float* x, const float* w, int64_t n, float eps);
  // y[i] = x[i] / sqrt(mean(x^2) + eps) * w[i] * silu(z[i]). y may be x.
  void (*gated_rms_norm)(float* y, const float* x, const float* z, const float* w, int64_t n,
                         float eps);
  // y[i] = x[i] / sqrt(sum(x^2) + 1e-6) * scale. y may be x.
  void (*l2_norm)(float* y, const float* x, int64_t n, float scale);
  // y[i] += s * x[i].
  void (*add_scaled)(float* y, const float* x, float s, int64_t n);
  // y[i] = y[i] * s + x[i] * t.
  void (*scale_add)(float* y, float s, const float* x, float t, int64_t n);
  // y[i] = silu(gate[i]) * up[i]. y may be gate or up.
  void (*swiglu)(float* y, const float* gate, const float* up, int64_t n);
  // y[i] *= sigmoid(gate[i]).
  void (*sigmoid_gate)(float* y, const float* gate, int64_t n);
  // y[i] = exp(x[i] - max(x)); returns their sum. y may be x; n >= 1.
  float (*exp_shifted)(float* y, const float* x, int64_t n);

  // Depthwise causal convolution and SiLU of `channels` channels over `tokens` tokens:
  // y[t][c] = silu(sum_i w[c][i] * u[t - width + 1 + i][c]), where u is state (width - 1 rows,
  // oldest first) followed by x. Leaves the last width - 1 rows of u in state. 1 <= width <=
  // kMaxConvWidth; w [channels, width].
  void (*conv_silu)(float* y, int64_t y_stride, const float* x, int64_t x_stride, const float* w,
                    int64_t width, float* state, int64_t state_stride, int64_t tokens,
                    int64_t channels);
  // Rotates x[j], x[j + half] by the angle whose cosine and sine are cosines[j], sines[j].
  void (*rotate_half)(float* x, const float* cosines, const float* sines, int64_t half);

  // y[t][r] = dot(x[t], w[r]) over cols inputs, fp32 products and sums; rows 1..kTileRows.
  void (*dot_rows[kFloatFormats])(float* const* y, const float* const* x, int64_t tokens,
                                  const void* const* w, int64_t rows, int64_t cols);
  // dst[i] = value of the E4M3 code times scale, |scale| < 2^120.
  void (*fp8_floats)(float* dst, const uint8_t* codes, float scale, int64_t n);
  // dst[i] = x[i] rounded to nearest even; F16 overflows to infinity.
  void (*store[kFloatFormats])(void* dst, const float* x, int64_t n);

  // Quantises n values into ceil(n / 32) groups from `first_group` on (group g is group g % 8 of
  // blocks[g / 8]); codes beyond n in the last group are 0. Other groups are left alone.
  void (*quantize)(ActivationBlock* blocks, const float* x, int64_t n, int64_t first_group);
  // y[t][16 p + n] = row n of panel p times activations t. Panels are 64-byte aligned, each
  // `blocks` blocks long; x[t] has as many.
  void (*panel_dot[kPanelFormats])(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                                   const void* panels, int64_t count, int64_t blocks);

  // Sum of n words, read as fast as the machine can: the yardstick of memory-bound kernels.
  uint64_t (*read_words)(const uint64_t* words, int64_t n);

  // beta[i] = sigmoid(b[i]); g[i] = neg_exp_a * log(1 + exp(a[i] + dt_bias)): one value head.
  void (*delta_gates)(float* beta, float* g, const float* b, const float* a, float neg_exp_a,
                      float dt_bias, int64_t n);
  // The gated delta rule, token after token: S *= exp(g); n = beta (v - S^T k); S += k n^T;
  // o = S^T q.
  void (*gated_delta)(const DeltaArgs& args);
  AttentionKernel attention[kKvFormats];
  // For large steps on levels with matrix units; the others have the scalar reference only, which
  // nobody should run at length.
  TileProducts tiles;
  DeltaChunkKernel delta_chunk;
};

}  // namespace headgate
