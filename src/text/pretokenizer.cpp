// Hand-written scanners for the two pre-tokenizer expressions.
#include "text/pretokenizer.h"

#include <array>
#include <cstdint>

#include "text/unicode.h"

namespace headgate {
namespace {

constexpr std::string_view kQwen2Regex =
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr std::string_view kQwen35Regex =
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";

struct Char {
  CharClass kind;
  uint8_t bytes;
};

constexpr std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    const bool space = c == ' ' || (c >= 9 && c <= 13);
    classes[static_cast<size_t>(c)] = letter                   ? kLetter
                                      : digit                  ? kNumber
                                      : c == '\r' || c == '\n' ? kNewline
                                      : space                  ? kSpace
                                                               : kOther;
  }
  return classes;
}
constexpr std::array<CharClass, 128> kAscii = ascii_classes();

// The expression's alternatives in their order, on classes instead of sets; kMarkAs is what a
// combining mark counts as.
template <CharClass kMarkAs>
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  size_t piece_end(size_t begin) const {
    const Char first = at(begin);
    const size_t next = begin + first.bytes;
    switch (first.kind) {
      case kLetter:
        return skip(next, kLetter);
      case kNumber:
        return next;
      case kNewline:
        return spaces_end(begin);
      default:
        break;
    }
    if (text_[begin] == '\'') {
      if (const size_t end = contraction_end(next)) return end;
    }
    const Char second = next < text_.size() ? at(next) : Char{kNewline, 0};
    if (second.kind == kLetter) return skip(next + second.bytes, kLetter);
    if (first.kind != kSpace) return skip(skip(next, kOther), kNewline);
    if (text_[begin] == ' ' && second.kind == kOther) {
      return skip(skip(next + second.bytes, kOther), kNewline);
    }
    return spaces_end(begin);
  }

 private:
  uint8_t byte(size_t i) const { return static_cast<uint8_t>(text_[i]); }

  Char at(size_t i) const {
    const uint8_t lead = byte(i);
    if (lead < 0x80) return {kAscii[lead], 1};
    char32_t c;
    uint8_t bytes;
    if (lead < 0xe0) {
      c = (lead & 0x1fu) << 6 | (byte(i + 1) & 0x3fu);
      bytes = 2;
    } else if (lead < 0xf0) {
      c = (lead & 0x0fu) << 12 | (byte(i + 1) & 0x3fu) << 6 | (byte(i + 2) & 0x3fu);
      bytes = 3;
    } else {
      c = (lead & 0x07u) << 18 | (byte(i + 1) & 0x3fu) << 12 | (byte(i + 2) & 0x3fu) << 6 |
          (byte(i + 3) & 0x3fu);
      bytes = 4;
    }
    const auto kind = static_cast<CharClass>(unicode_properties(c) & kCharClassMask);
    return {kind == kMark ? kMarkAs : kind, bytes};
  }

  size_t skip(size_t i, CharClass kind) const {
    while (i < text_.size()) {
      const Char c = at(i);
      if (c.kind != kind) break;
      i += c.bytes;
    }
    return i;
  }

  // End of 's 't 're 've 'm 'll 'd in either case after the apostrophe, 0 when there is none. The
  // case folding of "s" also takes U+017F, the long s.
  size_t contraction_end(size_t i) const {
    const size_t left = text_.size() - i;
    if (left == 0) return 0;
    const auto lower = [this](size_t k) { return byte(k) | 0x20; };
    if (byte(i) < 0x80) {
      const int a = lower(i);
      if (a == 's' || a == 't' || a == 'm' || a == 'd') return i + 1;
      if (left < 2 || byte(i + 1) >= 0x80) return 0;
      const int b = lower(i + 1);
      const bool pair = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
      return pair ? i + 2 : 0;
    }
    return byte(i) == 0xc5 && byte(i + 1) == 0xbf ? i + 2 : 0;
  }

  // A run of white space: up to its last line break if it has one; else all of it at the end of the
  // text; else all but its last character, which goes with what follows.
  size_t spaces_end(size_t begin) const {
    size_t i = begin;
    size_t last = begin;
    size_t after_newline = 0;
    while (i < text_.size()) {
      const Char c = at(i);
      if (c.kind != kSpace && c.kind != kNewline) break;
      last = i;
      i += c.bytes;
      if (c.kind == kNewline) after_newline = i;
    }
    if (after_newline != 0) return after_newline;
    return i == text_.size() || last == begin ? i : last;
  }

  std::string_view text_;
};

}  // namespace

std::string_view pre_tokenizer_regex(PreTokenizer pre) {
  return pre == PreTokenizer::kQwen2 ? kQwen2Regex : kQwen35Regex;
}

std::optional<PreTokenizer> pre_tokenizer_of_regex(std::string_view regex) {
  if (regex == kQwen2Regex) return PreTokenizer::kQwen2;
  if (regex == kQwen35Regex) return PreTokenizer::kQwen35;
  return std::nullopt;
}

std::string_view pre_tokenizer_name(PreTokenizer pre) {
  return pre == PreTokenizer::kQwen2 ? "qwen2" : "qwen35";
}

std::optional<PreTokenizer> pre_tokenizer_of_name(std::string_view name) {
  if (name == "qwen2") return PreTokenizer::kQwen2;
  if (name == "qwen35") return PreTokenizer::kQwen35;
  return std::nullopt;
}

size_t piece_end(PreTokenizer pre, std::string_view text, size_t begin) {
  return pre == PreTokenizer::kQwen2 ? Scanner<kOther>(text).piece_end(begin)
                                     : Scanner<kLetter>(text).piece_end(begin);
}

}  // namespace headgate
