// NFC by segments: text is copied as it stands, and only the stretch from the last safe character
// before a suspicious one to the next safe one is decomposed, ordered and composed (Unicode annex
// 15).
#include "text/normalize.h"

#include <algorithm>
#include <vector>

#include "base/utf8.h"
#include "text/unicode.h"

namespace headgate {
namespace {

constexpr char32_t kSyllableBase = 0xac00, kLeadBase = 0x1100, kVowelBase = 0x1161,
                   kTrailBase = 0x11a7;
constexpr char32_t kLeads = 19, kVowels = 21, kTrails = 28;

struct Ordered {
  char32_t c;
  uint8_t combining_class;
};

void push(std::vector<Ordered>& out, char32_t c) {
  const bool combines = (unicode_properties(c) & kHasCombiningClass) != 0;
  out.push_back({c, combines ? combining_class(c) : uint8_t{0}});
}

void push_decomposed(std::vector<Ordered>& out, char32_t c) {
  if (c >= kSyllableBase && c < kSyllableBase + kLeads * kVowels * kTrails) {
    const char32_t index = c - kSyllableBase;
    push(out, kLeadBase + index / (kVowels * kTrails));
    push(out, kVowelBase + index % (kVowels * kTrails) / kTrails);
    if (index % kTrails != 0) push(out, kTrailBase + index % kTrails);
    return;
  }
  char32_t seconds[8];  // only the first part of a step decomposes further; four steps at most
  int count = 0;
  for (CanonicalStep step = decompose_step(c); step.first != 0 && count < 8;
       step = decompose_step(c)) {
    c = step.first;
    if (step.second != 0) seconds[count++] = step.second;
  }
  push(out, c);
  while (count > 0) push(out, seconds[--count]);
}

char32_t compose(char32_t first, char32_t second) {
  if (first >= kLeadBase && first < kLeadBase + kLeads && second >= kVowelBase &&
      second < kVowelBase + kVowels) {
    return kSyllableBase + ((first - kLeadBase) * kVowels + second - kVowelBase) * kTrails;
  }
  const bool open_syllable = first >= kSyllableBase &&
                             first < kSyllableBase + kLeads * kVowels * kTrails &&
                             (first - kSyllableBase) % kTrails == 0;
  if (open_syllable && second > kTrailBase && second < kTrailBase + kTrails) {
    return first + second - kTrailBase;
  }
  return compose_pair(first, second);
}

// Stable order by combining class within every run of non-starters.
void order(std::vector<Ordered>& segment) {
  const auto starter = [](const Ordered& o) { return o.combining_class == 0; };
  const auto less = [](const Ordered& a, const Ordered& b) {
    return a.combining_class < b.combining_class;
  };
  for (auto run = segment.begin(); run != segment.end();) {
    run = std::find_if_not(run, segment.end(), starter);
    const auto end = std::find_if(run, segment.end(), starter);
    if (!std::is_sorted(run, end, less)) std::stable_sort(run, end, less);
    run = end;
  }
}

// Composes in place: each character joins the last starter unless something between blocks it.
void compose_segment(std::vector<Ordered>& segment) {
  size_t kept = 0;
  size_t starter = 0;
  bool has_starter = false;
  for (const Ordered item : segment) {
    if (has_starter) {
      const bool adjacent = starter + 1 == kept;
      const bool blocked = !adjacent && segment[kept - 1].combining_class >= item.combining_class;
      const char32_t composed = blocked ? 0 : compose(segment[starter].c, item.c);
      if (composed != 0) {
        segment[starter].c = composed;
        continue;
      }
    }
    if (item.combining_class == 0) {
      starter = kept;
      has_starter = true;
    }
    segment[kept++] = item;
  }
  segment.resize(kept);
}

class Normalizer {
 public:
  Normalizer(std::string_view text, std::string& out) : text_(text), out_(out) { out_.clear(); }

  // True when out was written; false when the text is NFC already.
  bool run() {
    size_t at = 0;
    while (at < text_.size()) at = step(at);
    if (copied_ == 0) return false;
    out_.append(text_.substr(copied_));
    return true;
  }

 private:
  size_t step(size_t at) {
    const auto byte = static_cast<uint8_t>(text_[at]);
    if (byte < 0x80) {
      safe_ = at;
      last_class_ = 0;
      return at + 1;
    }
    const DecodedCodePoint d = decode_utf8(text_, at);
    const size_t next = at + static_cast<size_t>(d.bytes);
    const uint8_t flags = unicode_properties(d.code_point) & (kHasCombiningClass | kNotQuickNfc);
    if (flags == 0) {
      safe_ = at;
      last_class_ = 0;
      return next;
    }
    if ((flags & kNotQuickNfc) == 0) {
      const uint8_t combining = combining_class(d.code_point);
      if (combining >= last_class_) {
        last_class_ = combining;
        return next;
      }
    }
    return rewrite(next);
  }

  // Normalises from safe_ to the first safe character at or after `next`; returns its position.
  size_t rewrite(size_t next) {
    segment_.clear();
    out_.append(text_.substr(copied_, safe_ - copied_));
    size_t at = safe_;
    while (at < text_.size()) {
      const DecodedCodePoint d = decode_utf8(text_, at);
      if (at >= next &&
          (unicode_properties(d.code_point) & (kHasCombiningClass | kNotQuickNfc)) == 0)
        break;
      push_decomposed(segment_, d.code_point);
      at += static_cast<size_t>(d.bytes);
    }
    order(segment_);
    compose_segment(segment_);
    for (const Ordered& o : segment_) append_utf8(out_, o.c);
    copied_ = at;
    safe_ = at;
    last_class_ = 0;
    return at;
  }

  std::string_view text_;
  std::string& out_;
  std::vector<Ordered> segment_;
  size_t copied_ = 0;  // text before it is in out_
  size_t safe_ = 0;  // start of the last character that nothing after it can change anything before
  uint8_t last_class_ = 0;
};

}  // namespace

std::string_view normalize_nfc(std::string_view text, std::string& storage) {
  return Normalizer(text, storage).run() ? std::string_view(storage) : text;
}

}  // namespace headgate
