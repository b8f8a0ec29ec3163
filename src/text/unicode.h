// Unicode properties that tokenisation needs: character classes and canonical normalisation data.
#pragma once

#include <cstdint>

namespace headgate {

// What the pre-tokenizer distinguishes. Classes are those of Unicode 16.0: general categories L, N
// and M, the White_Space property, CR and LF apart from it.
enum CharClass : uint8_t { kOther = 0, kLetter, kNumber, kMark, kSpace, kNewline };

constexpr uint8_t kCharClassMask = 7;
constexpr uint8_t kHasCombiningClass = 8;  // canonical combining class is not 0
constexpr uint8_t kNotQuickNfc = 16;       // NFC_Quick_Check is No or Maybe

// CharClass and the two flags of a code point (any value).
uint8_t unicode_properties(char32_t c);

// Canonical combining class, 0..254.
uint8_t combining_class(char32_t c);

struct CanonicalStep {
  char32_t first;   // 0: the code point does not decompose
  char32_t second;  // 0: a singleton
};

// Single-step canonical decomposition, without Hangul syllables (those are arithmetic).
CanonicalStep decompose_step(char32_t c);

// The primary composite of a pair, 0 when there is none. Without Hangul.
char32_t compose_pair(char32_t first, char32_t second);

}  // namespace headgate
