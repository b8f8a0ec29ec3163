// Look-ups in the generated Unicode tables.
#include "text/unicode.h"

#include <algorithm>
#include <iterator>

namespace headgate {
namespace {

struct ClassRange {
  char32_t first, last;
  uint8_t combining_class;
};

struct Decomposition {
  char32_t composed, first, second;
};

#include "text/unicode_tables.inc"

}  // namespace

uint8_t unicode_properties(char32_t c) {
  if (c < kTableLimit) {
    return static_cast<uint8_t>(kProperties[kBlockRow[c >> 7] * 128u + (c & 127)]) & 0x1f;
  }
  return c >= 0xe0100 && c <= 0xe01ef ? kMark : kOther;  // variation selectors
}

uint8_t combining_class(char32_t c) {
  const auto* range =
      std::lower_bound(std::begin(kClassRanges), std::end(kClassRanges), c,
                       [](const ClassRange& r, char32_t value) { return r.last < value; });
  return range != std::end(kClassRanges) && range->first <= c ? range->combining_class : 0;
}

CanonicalStep decompose_step(char32_t c) {
  const auto* row =
      std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), c,
                       [](const Decomposition& d, char32_t value) { return d.composed < value; });
  if (row == std::end(kDecompositions) || row->composed != c) return {0, 0};
  return {row->first, row->second};
}

char32_t compose_pair(char32_t first, char32_t second) {
  const auto less = [second](uint16_t row, char32_t wanted) {
    const Decomposition& d = kDecompositions[row];
    return d.first != wanted ? d.first < wanted : d.second < second;
  };
  const auto* row = std::lower_bound(std::begin(kComposed), std::end(kComposed), first, less);
  if (row == std::end(kComposed)) return 0;
  const Decomposition& d = kDecompositions[*row];
  return d.first == first && d.second == second ? d.composed : 0;
}

}  // namespace headgate
