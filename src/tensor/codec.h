// The reference codec: stored rows of any type to fp32 and back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace headgate {

// Decodes `n` elements (a multiple of the block size) of a stored row. Integer types convert to the
// nearest float. F8_E4M3 gives the codes' own values: see dequantize_fp8_row for scaled weights.
// Values equal those of the ggml reference decoders bit for bit. Thread-safe.
void dequantize_row(DType type, const std::byte* src, float* dst, int64_t n);

// Decodes one row of an F8_E4M3 matrix with 128x128 block scales: dst[c] = code[c] * scales[c /
// 128], where `scales` is row r / 128 of `weight_scale_inv` as fp32.
void dequantize_fp8_row(const std::byte* src, const float* scales, float* dst, int64_t n);

// True for the types quantize_row can write: F32 F16 BF16 and every block type.
bool is_writable(DType type);

// Encodes `n` floats (a multiple of the block size). `importance`, when not null, holds one
// non-negative weight per element: the mean square of the activation it multiplies; codes and
// scales then minimise the weighted squared error. Without it the plain squared error is minimised,
// except that Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and MXFP4 follow the usual closed-form rules, bit for
// bit like the gguf package. Values that are not finite count as zero. The same input gives the
// same bytes on every thread and run. Thread-safe.
void quantize_row(DType type, const float* src, std::byte* dst, int64_t n,
                  const float* importance = nullptr);

}  // namespace headgate
