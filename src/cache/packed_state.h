// Recurrent states in less memory: bf16 or 8 bits a number, for checkpoints that wait to be used.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cache/sequence_state.h"

namespace headgate {

// Bytes of one slot in a format, without updates set aside; 0 for kF32, which is not packed.
int64_t packed_state_bytes(const StateShape& shape, StateFormat format);

// `slot` as a pool has it: per recurrent layer convolution, delta state, updates set aside. The
// delta states are rounded to the format: kBf16 to nearest even, kInt8 to 127 steps of the largest
// of every 64 numbers (a row of a head's matrix is one or more such groups). The convolution's few
// numbers stay as they are, and what is set aside is left out: there must be none.
void pack_state(const StateShape& shape, StateFormat format, const float* slot, std::byte* packed);
void unpack_state(const StateShape& shape, StateFormat format, const std::byte* packed,
                  float* slot);

}  // namespace headgate
