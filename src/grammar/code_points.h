// Sets of code points, and their spelling as ranges of UTF-8 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace headgate {

constexpr char32_t kLastCodePoint = 0x10ffff;

struct CodePointRange {
  char32_t first, last;
  friend bool operator==(const CodePointRange&, const CodePointRange&) = default;
};

// Ranges in order, none touching another. Surrogates may be members; they have no UTF-8 form.
class CodePointSet {
 public:
  CodePointSet() = default;
  explicit CodePointSet(std::vector<CodePointRange> ranges);
  static CodePointSet all() { return CodePointSet({{0, kLastCodePoint}}); }
  static CodePointSet single(char32_t c) { return CodePointSet({{c, c}}); }

  void add(char32_t first, char32_t last);
  void add(const CodePointSet& other);
  CodePointSet complement() const;
  CodePointSet intersect(const CodePointSet& other) const;
  // `other`'s members taken away.
  CodePointSet without(const CodePointSet& other) const;

  bool contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<CodePointRange>& ranges() const { return ranges_; }

 private:
  void normalise();
  std::vector<CodePointRange> ranges_;
};

// One to four ranges of bytes: every string with its i-th byte in bytes[i] is one code point.
struct ByteSequence {
  struct Range {
    uint8_t first, last;
    friend bool operator==(const Range&, const Range&) = default;
  };
  std::array<Range, 4> bytes;
  int length = 0;
};

// The UTF-8 forms of a set's members, without surrogates. Source: Thompson's construction as in
// RE2 (compile.cc) and the Rust crate utf8-ranges: ranges are cut where the length changes and
// where a continuation byte would not run over all of its values.
std::vector<ByteSequence> utf8_sequences(const CodePointSet& set);

}  // namespace headgate
