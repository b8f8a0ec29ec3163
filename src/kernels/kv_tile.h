// How cached keys and values lie in memory: the same tiles for every instruction set.
#pragma once

#include <stdint.h>

namespace headgate {

enum KvFormat { kKvF32, kKvF16, kKvBF16, kKvInt8, kKvQ4, kKvFormats };

// A tile is a matrix [depth, 16 columns] that attention multiplies from the left: of keys, the
// columns are 16 tokens and the depth runs over the head; of values, the columns are 16 dims and
// the depth runs over the tokens. A line of a tile holds, column after column, as many consecutive
// depths as fit 4 bytes: 1 fp32, 2 bf16, 4 int8; fp16 lines hold one depth in 32 bytes. Line i of
// 4-bit group g holds depths 32g + 4i .. + 3 in its low nibbles and 32g + 16 + 4i .. + 3 in its
// high ones. Key codes of int8 are stored plus 128, value codes as they are; a 4-bit code stands
// for scale * (2 code - 15), with a scale of at least 0 for 32 dims of one token.
constexpr int64_t kKvColumns = 16;
constexpr int64_t kKvStep = 32;          // heads and pages are padded to multiples of this
constexpr int64_t kKvGroup = 32;         // dims that share a 4-bit scale
constexpr int64_t kKvMostDims = 512;     // longest head of int8 and 4-bit caches: sums fit 32 bits
constexpr int64_t kKvSegment = 256;      // tokens that attention sums up by themselves
constexpr int64_t kKvKeyOffset = 128;    // added to int8 key codes
constexpr int64_t kKvNibbleOffset = 15;  // taken off 2 * 4-bit code

// One KV head of a page: key tiles, scales of keys, value tiles, scales of values. Offsets and
// sizes in bytes, multiples of 64.
struct KvPlane {
  int64_t dims = 0, tokens = 0;  // padded
  int64_t key_tile = 0, value_tile = 0;
  // Int8: fp32 [tokens]. 4-bit keys have theirs at the end of each tile, fp16 [dims / 32][16].
  int64_t key_scales = 0;
  int64_t values = 0;
  int64_t value_scales = 0;  // int8: fp32 [tokens]; 4-bit: fp16 [dims / 32][tokens]
  int64_t bytes = 0;
};

KvPlane kv_plane(KvFormat format, int64_t head_dim, int64_t page_tokens);

// Quantises and writes one token's key and value [head_dim] into its slot. Tokens of the same
// 32-token step must be stored by one thread, in any order but with the step's first token first
// when it is stored at all: that one clears the values of the step, which kernels may multiply by
// zero.
void kv_store_token(KvFormat format, const KvPlane& plane, void* head, int64_t slot, const float* k,
                    const float* v, int64_t head_dim);
// What kv_store_token kept.
void kv_load_token(KvFormat format, const KvPlane& plane, const void* head, int64_t slot, float* k,
                   float* v, int64_t head_dim);

}  // namespace headgate
