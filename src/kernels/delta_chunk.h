// The gated delta rule on whole chunks of tokens, for levels with matrix units.
#pragma once

#include <stdint.h>

namespace headgate {

struct DeltaArgs;

constexpr int64_t kDeltaChunk = 64;         // tokens of a chunk
constexpr int64_t kDeltaMostColumns = 256;  // value columns per call

// Sizes that the kernels take: multiples of 32.
static constexpr bool fits_delta_chunk(int64_t key_dim, int64_t columns) {
  return key_dim % 32 == 0 && columns % 32 == 0 && key_dim > 0 && key_dim <= 256 && columns > 0 &&
         columns <= kDeltaMostColumns;
}
// Bytes of memory, 64-byte aligned: what the value heads of a key head share, and what a call
// needs.
static constexpr int64_t delta_chunk_shared_bytes(int64_t key_dim) {
  return 4 * kDeltaChunk * key_dim * 2 + 2 * kDeltaChunk * kDeltaChunk * 4;
}
static constexpr int64_t delta_chunk_scratch_bytes(int64_t key_dim, int64_t columns) {
  return key_dim * columns * 2 + kDeltaChunk * columns * (4 + 2 + 2) +
         kDeltaChunk * kDeltaChunk * (4 + 2 + 2) + 4 * kDeltaChunk * 4;
}

// The two belong together.
struct DeltaChunkKernel {
  // Products of the keys and queries [kDeltaChunk, key_dim] of a key head with each other.
  void (*prepare)(void* shared, const float* q, int64_t q_stride, const float* k, int64_t k_stride,
                  int64_t key_dim);
  // As gated_delta for args.tokens == kDeltaChunk; queries and keys are those of `shared`. Rounds
  // the operands of products to bf16; sums, the state and the solution within 16 tokens are fp32.
  void (*run)(const DeltaArgs& args, const void* shared, void* scratch);
};

}  // namespace headgate
