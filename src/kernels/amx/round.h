// Rounding fp32 to bf16 with plain integer instructions. Everything is static: nothing here may
// become a symbol that other levels could be linked to.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/amx/tile.h"
#include "kernels/avx512/round_pairs.h"

namespace headgate::HEADGATE_AMX {

using avx512::round_pairs;

// To the nearest bf16, ties to even, in the low half of each lane; what is no number stays so.
static __attribute__((always_inline)) inline __m512i round_even(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i kept = _mm512_mask_or_epi32(sum, nan, bits, _mm512_set1_epi32(0x400000));
  return _mm512_srli_epi32(kept, 16);
}

// 16 values side by side.
static __attribute__((always_inline)) inline __m256i round_row(__m512 x) {
  return _mm512_cvtepi32_epi16(round_even(x));
}

}  // namespace headgate::HEADGATE_AMX
