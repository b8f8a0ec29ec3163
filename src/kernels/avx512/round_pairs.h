// Rounding fp32 to pairs of bf16 with plain integer instructions. Everything is static: nothing
// here may become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>

namespace headgate::avx512 {

// Both of 16 pairs to the nearest bf16, ties away from zero: two instructions fewer than nearest
// even, and the instruction that rounds is slower than either on the processors with tiles.
static __attribute__((always_inline)) inline __m512i round_pairs(__m512 even, __m512 odd) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i low = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(even), half), 16);
  const __m512i high = _mm512_add_epi32(_mm512_castps_si512(odd), half);
  return _mm512_mask_blend_epi16(0xaaaaaaaa, low, high);
}

}  // namespace headgate::avx512
