// The scalar kernels; contracts in kernel_table.h.
#pragma once

#include "kernels/kernel_table.h"

namespace headgate::scalar {

void fill(KernelTable& table);

void rms_norm(float* y, const float* x, const float* w, int64_t n, float eps);
void gated_rms_norm(float* y, const float* x, const float* z, const float* w, int64_t n, float eps);
void l2_norm(float* y, const float* x, int64_t n, float scale);
void add_scaled(float* y, const float* x, float s, int64_t n);
void scale_add(float* y, float s, const float* x, float t, int64_t n);
void swiglu(float* y, const float* gate, const float* up, int64_t n);
void sigmoid_gate(float* y, const float* gate, int64_t n);
float exp_shifted(float* y, const float* x, int64_t n);
void conv_silu(float* y, int64_t y_stride, const float* x, int64_t x_stride, const float* w,
               int64_t width, float* state, int64_t state_stride, int64_t tokens, int64_t channels);
void rotate_half(float* x, const float* cosines, const float* sines, int64_t half);
void dot_rows_f32(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                  int64_t rows, int64_t cols);
void dot_rows_f16(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                  int64_t rows, int64_t cols);
void dot_rows_bf16(float* const* y, const float* const* x, int64_t tokens, const void* const* w,
                   int64_t rows, int64_t cols);
void fp8_floats(float* dst, const uint8_t* codes, float scale, int64_t n);
void store_f32(void* dst, const float* x, int64_t n);
void store_f16(void* dst, const float* x, int64_t n);
void store_bf16(void* dst, const float* x, int64_t n);
void quantize(ActivationBlock* blocks, const float* x, int64_t n, int64_t first_group);
void panel_dot_q4k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q5k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q6k(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q80(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_q40(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                   const void* panels, int64_t count, int64_t blocks);
void panel_dot_iq4nl(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks);
void panel_dot_iq4xs(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks);
void panel_dot_mxfp4(float* const* y, const ActivationBlock* const* x, int64_t tokens,
                     const void* panels, int64_t count, int64_t blocks);
void prepare_delta_chunk(void* shared, const float* q, int64_t q_stride, const float* k,
                         int64_t k_stride, int64_t key_dim);
void run_delta_chunk(const DeltaArgs& args, const void* shared, void* scratch);
void pack_tiles(uint16_t* to, const float* const* x, int64_t rows, int64_t cols);
void tiles_q4k(const TileProductArgs& args);
void tiles_q5k(const TileProductArgs& args);
void tiles_q6k(const TileProductArgs& args);
void tiles_q80(const TileProductArgs& args);
void tiles_q40(const TileProductArgs& args);
void tiles_iq4nl(const TileProductArgs& args);
void tiles_iq4xs(const TileProductArgs& args);
void tiles_mxfp4(const TileProductArgs& args);
uint64_t read_words(const uint64_t* words, int64_t n);
void delta_gates(float* beta, float* g, const float* b, const float* a, float neg_exp_a,
                 float dt_bias, int64_t n);
void gated_delta(const DeltaArgs& args);
void pack_query_floats(void* dst, const float* q, int64_t n, int64_t dims, float scale);
void pack_query_int8(void* dst, const float* q, int64_t n, int64_t dims, float scale);
void pack_query_q4(void* dst, const float* q, int64_t n, int64_t dims, float scale);
void attention_f32(const AttentionArgs& args);
void attention_f16(const AttentionArgs& args);
void attention_bf16(const AttentionArgs& args);
void attention_int8(const AttentionArgs& args);
void attention_q4(const AttentionArgs& args);
// The arithmetic of bf16 dot products, for tests: queries and weights rounded to bf16.
void pack_query_rounded(void* dst, const float* q, int64_t n, int64_t dims, float scale);
void attention_bf16_rounded(const AttentionArgs& args);

}  // namespace headgate::scalar
