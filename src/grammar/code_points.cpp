// Set operations on ranges, and cutting ranges into UTF-8 sequences.
#include "grammar/code_points.h"

#include <algorithm>

namespace headgate {
namespace {

int encode(char32_t c, std::array<uint8_t, 4>& out) {
  if (c < 0x80) {
    out[0] = static_cast<uint8_t>(c);
    return 1;
  }
  const int length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static constexpr std::array<uint8_t, 5> kLead = {0, 0, 0xc0, 0xe0, 0xf0};
  for (int i = length - 1; i > 0; --i, c >>= 6)
    out[static_cast<size_t>(i)] = static_cast<uint8_t>(0x80 | (c & 0x3f));
  out[0] = static_cast<uint8_t>(kLead[static_cast<size_t>(length)] | c);
  return length;
}

// Cuts [first, last] until both ends differ only in bytes that run over all their values.
void cut(char32_t first, char32_t last, std::vector<ByteSequence>& out) {
  for (const char32_t border : {0x7fu, 0x7ffu, 0xffffu}) {
    if (first <= border && border < last) {
      cut(first, border, out);
      cut(border + 1, last, out);
      return;
    }
  }
  if (last >= 0x80) {
    for (int i = 1; i < 4; ++i) {
      const char32_t mask = (char32_t{1} << (6 * i)) - 1;
      if ((first & ~mask) == (last & ~mask)) continue;
      if ((first & mask) != 0) {
        cut(first, first | mask, out);
        cut((first | mask) + 1, last, out);
        return;
      }
      if ((last & mask) != mask) {
        cut(first, (last & ~mask) - 1, out);
        cut(last & ~mask, last, out);
        return;
      }
    }
  }
  std::array<uint8_t, 4> low{}, high{};
  ByteSequence sequence;
  sequence.length = encode(first, low);
  encode(last, high);
  for (size_t i = 0; i < 4; ++i) sequence.bytes[i] = {low[i], high[i]};
  out.push_back(sequence);
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges) : ranges_(std::move(ranges)) {
  normalise();
}

void CodePointSet::normalise() {
  std::sort(ranges_.begin(), ranges_.end(),
            [](const CodePointRange& a, const CodePointRange& b) { return a.first < b.first; });
  std::vector<CodePointRange> merged;
  for (const CodePointRange& range : ranges_) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

void CodePointSet::add(char32_t first, char32_t last) {
  ranges_.push_back({first, last});
  normalise();
}

void CodePointSet::add(const CodePointSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalise();
}

CodePointSet CodePointSet::complement() const {
  CodePointSet out;
  char32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (range.first > next) out.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) out.ranges_.push_back({next, kLastCodePoint});
  return out;
}

CodePointSet CodePointSet::intersect(const CodePointSet& other) const {
  CodePointSet out;
  size_t i = 0, j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const char32_t first = std::max(ranges_[i].first, other.ranges_[j].first);
    const char32_t last = std::min(ranges_[i].last, other.ranges_[j].last);
    if (first <= last) out.ranges_.push_back({first, last});
    if (ranges_[i].last < other.ranges_[j].last) {
      ++i;
    } else {
      ++j;
    }
  }
  return out;
}

CodePointSet CodePointSet::without(const CodePointSet& other) const {
  return intersect(other.complement());
}

bool CodePointSet::contains(char32_t c) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [c](const CodePointRange& range) {
    return range.first <= c && c <= range.last;
  });
}

std::vector<ByteSequence> utf8_sequences(const CodePointSet& set) {
  std::vector<ByteSequence> out;
  const CodePointSet encodable = set.without(CodePointSet({{0xd800, 0xdfff}}));
  for (const CodePointRange& range : encodable.ranges()) cut(range.first, range.last, out);
  return out;
}

}  // namespace headgate
