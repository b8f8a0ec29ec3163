// Encoders of single blocks, used by quantize_row.
#pragma once

#include "tensor/blocks.h"

namespace headgate {

// `x` holds the finite values of one block. `w` holds their weights, all >= 0 and not all zero;
// null asks for the closed-form rule of the type (see codec.h).
void encode(const float* x, const float* w, BlockQ4_0& b);
void encode(const float* x, const float* w, BlockQ4_1& b);
void encode(const float* x, const float* w, BlockQ5_0& b);
void encode(const float* x, const float* w, BlockQ5_1& b);
void encode(const float* x, const float* w, BlockQ8_0& b);
void encode(const float* x, const float* w, BlockMXFP4& b);

// These always search, so `w` is never null.
void encode(const float* x, const float* w, BlockIQ4_NL& b);
void encode(const float* x, const float* w, BlockIQ4_XS& b);
void encode(const float* x, const float* w, BlockQ2_K& b);
void encode(const float* x, const float* w, BlockQ3_K& b);
void encode(const float* x, const float* w, BlockQ4_K& b);
void encode(const float* x, const float* w, BlockQ5_K& b);
void encode(const float* x, const float* w, BlockQ6_K& b);

}  // namespace headgate
