// Look-ups in the generated tables of case mappings and character classes.
#include "chat/unicode_case.h"

#include <algorithm>

#include "base/utf8.h"

namespace headgate::jinja {
namespace {

using tables::CaseRun;
using tables::CaseSpecial;
using tables::Range;

bool in_ranges(const Range* ranges, size_t count, char32_t c) {
  const Range* end = ranges + count;
  const Range* found =
      std::upper_bound(ranges, end, c, [](char32_t x, const Range& r) { return x < r.first; });
  return found != ranges && c <= (found - 1)->last;
}

struct CaseTable {
  const CaseRun* runs;
  size_t run_count;
  const CaseSpecial* special;
  size_t special_count;
};

void append_mapped(std::string& out, const CaseTable& table, char32_t c) {
  const CaseSpecial* special_end = table.special + table.special_count;
  const CaseSpecial* special = std::lower_bound(
      table.special, special_end, c, [](const CaseSpecial& s, char32_t x) { return s.from < x; });
  if (special != special_end && special->from == c) {
    for (const uint32_t to : special->to) {
      if (to != 0) append_utf8(out, to);
    }
    return;
  }
  const CaseRun* end = table.runs + table.run_count;
  const CaseRun* run = std::upper_bound(table.runs, end, c,
                                        [](char32_t x, const CaseRun& r) { return x < r.first; });
  // Runs with a step of two interleave with others, so a few before the found one may hold c.
  for (int back = 0; back < 4 && run != table.runs; ++back) {
    --run;
    if (c <= run->last && (c - run->first) % static_cast<uint32_t>(run->step) == 0) {
      append_utf8(out, static_cast<char32_t>(static_cast<int64_t>(c) + run->delta));
      return;
    }
  }
  append_utf8(out, c);
}

const CaseTable& lower_table() {
  static const CaseTable table{tables::kToLower, tables::kToLowerCount, tables::kToLowerSpecial,
                               tables::kToLowerSpecialCount};
  return table;
}

constexpr char32_t kSigma = 0x3a3;

// Whether the sigma at [begin, end) ends a word: a cased letter before it and none after it,
// whatever may be ignored in between.
bool is_final_sigma(std::string_view text, size_t begin, size_t end) {
  bool cased_before = false;
  for (size_t i = begin; i > 0;) {
    do {
      --i;
    } while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80);
    const char32_t c = decode_utf8(text, i).code_point;
    if (is_case_ignorable(c)) continue;
    cased_before = is_cased(c);
    break;
  }
  if (!cased_before) return false;
  for (size_t i = end; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    i += static_cast<size_t>(d.bytes);
    if (is_case_ignorable(d.code_point)) continue;
    return !is_cased(d.code_point);
  }
  return true;
}

}  // namespace

bool is_alpha(char32_t c) { return in_ranges(tables::kAlpha, tables::kAlphaCount, c); }
bool is_decimal(char32_t c) { return in_ranges(tables::kDecimal, tables::kDecimalCount, c); }
bool is_digit(char32_t c) { return in_ranges(tables::kDigit, tables::kDigitCount, c); }
bool is_numeric(char32_t c) { return in_ranges(tables::kNumeric, tables::kNumericCount, c); }
bool is_printable(char32_t c) { return in_ranges(tables::kPrintable, tables::kPrintableCount, c); }
bool is_space(char32_t c) { return in_ranges(tables::kSpace, tables::kSpaceCount, c); }
bool is_upper(char32_t c) { return in_ranges(tables::kUpper, tables::kUpperCount, c); }
bool is_lower(char32_t c) { return in_ranges(tables::kLower, tables::kLowerCount, c); }
bool is_title(char32_t c) { return in_ranges(tables::kTitle, tables::kTitleCount, c); }
bool is_case_ignorable(char32_t c) {
  return in_ranges(tables::kCaseIgnorable, tables::kCaseIgnorableCount, c);
}

std::string to_upper(std::string_view text) {
  const CaseTable table{tables::kToUpper, tables::kToUpperCount, tables::kToUpperSpecial,
                        tables::kToUpperSpecialCount};
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    append_mapped(out, table, d.code_point);
    i += static_cast<size_t>(d.bytes);
  }
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint d = decode_utf8(text, i);
    const size_t end = i + static_cast<size_t>(d.bytes);
    if (d.code_point == kSigma && is_final_sigma(text, i, end)) {
      append_utf8(out, 0x3c2);
    } else {
      append_mapped(out, lower_table(), d.code_point);
    }
    i = end;
  }
  return out;
}

std::string to_title(char32_t c) {
  const CaseTable table{tables::kToTitle, tables::kToTitleCount, tables::kToTitleSpecial,
                        tables::kToTitleSpecialCount};
  std::string out;
  append_mapped(out, table, c);
  return out;
}

}  // namespace headgate::jinja
