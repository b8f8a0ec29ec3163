// The contract of the kernels that training adds: tiles of matrix products and slopes of rows.
#pragma once

#include <stdint.h>

namespace headgate {

// c[i][j] = sum over steps of a(i, s) * b[s][j], or c += with `add`. In fp32 a step is one input;
// in bf16 it is a pair of inputs, the earlier one in the low half of a 32-bit word, and a, b count
// words.
struct TileArgs {
  const void* a;
  int64_t a_row, a_step;  // words between rows and steps
  const void* b;          // [steps, columns], steps b_step words apart
  int64_t b_step;
  float* c;
  int64_t c_row;
  int64_t rows, columns, steps;  // rows and columns from 1 to the table's most
  bool add;
};

constexpr int64_t kProductRows = 8;

struct AdamArgs {
  float beta1, beta2;
  float keep;          // 1 - rate * decay
  float rate;          // divided by the first moment's bias correction
  float inverse_root;  // 1 / sqrt of the second moment's
  float epsilon;
  float scale;  // of the gradient
};

// Arrays are unaligned, of any length n >= 0; sums have one order that depends on n alone.
struct TrainTable {
  int64_t product_columns;  // most columns per call of a tile
  int64_t bf16_rows;        // most rows per call of tile_bf16; of tile_f32 kProductRows
  void (*tile_f32)(const TileArgs& args);
  void (*tile_bf16)(const TileArgs& args);  // null where the level has no such instruction
  // dst[c][r] = src[r][c], 32-bit words, strides in words.
  void (*transpose)(uint32_t* dst, int64_t dst_stride, const uint32_t* src, int64_t src_stride,
                    int64_t rows, int64_t columns);
  // Rows of src in pairs: (src[2 s * stride + i], src[(2 s + 1) * stride + i]) rounded to bf16,
  // nearest even, for i < n; a missing last one of `rows` is zero. Sixteen columns are a group: the
  // pair goes to dst[s * dst_stride + i / 16 * group_stride + i % 16].
  void (*pair_rows)(uint32_t* dst, int64_t dst_stride, int64_t group_stride, const float* src,
                    int64_t stride, int64_t rows, int64_t n);
  // dst[i] = the pair (x[2i], x[2i + 1]) rounded to bf16; a missing last one is zero.
  void (*pair_inputs)(uint32_t* dst, const float* x, int64_t n);

  // s[i] = sigmoid(x[i]). s may be x.
  void (*sigmoids)(const float* x, int64_t n, float* s);
  // y[i] = silu(gate[i]) x[i]. y may be x or gate.
  void (*silu_times)(const float* gate, const float* x, int64_t n, float* y);
  // silu[i] = silu(x[i]), slope[i] its derivative. silu may be x.
  void (*silu_and_slope)(const float* x, int64_t n, float* silu, float* slope);
  // y = silu(a) b: da, db from dy. da may be a, db may be b.
  void (*swiglu_backward)(const float* dy, const float* a, const float* b, int64_t n, float* da,
                          float* db);
  // y[i] = exp(x[i] - shift); returns their sum. y may be x.
  float (*exp_minus)(const float* x, float shift, int64_t n, float* y);
  // sum a[i] b[i].
  float (*dot)(const float* a, const float* b, int64_t n);
  // y[i] += s x[i]. No fused rounding matters here: one product, one sum.
  void (*axpy)(float* y, const float* x, float s, int64_t n);
  // y[i] += a[i] b[i], likewise.
  void (*multiply_add)(float* y, const float* a, const float* b, int64_t n);
  // y[i] = s x[i]. y may be x.
  void (*scale)(float* y, const float* x, float s, int64_t n);
  // sum x[i]^2 in fp64.
  double (*square_sum)(const float* x, int64_t n);
  // g = gradient * scale; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
  // w = w keep - rate m / (sqrt(v) inverse_root + epsilon).
  void (*adamw)(const AdamArgs& args, int64_t n, float* w, const float* gradient, float* m,
                float* v);
};

namespace scalar {
void fill_train(TrainTable& table);  // every entry but tile_bf16
}
namespace avx2 {
void fill_train(TrainTable& table);  // replaces entries
}
namespace avx512 {
void fill_train(TrainTable& table);
}
namespace avx512bf16 {
void fill_train(TrainTable& table);
}

}  // namespace headgate
