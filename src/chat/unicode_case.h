// Case mappings and character classes as Python's str methods have them. Tables are generated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace headgate::jinja {

bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_printable(char32_t c);
bool is_space(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
bool is_case_ignorable(char32_t c);
inline bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }
inline bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }

// str.upper(), str.lower(), and the title form of one character. `text` is valid UTF-8.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(char32_t c);

namespace tables {

struct Range {
  uint32_t first, last;
};
struct CaseRun {
  uint32_t first, last;
  int32_t step, delta;
};
struct CaseSpecial {
  uint32_t from;
  uint32_t to[3];  // 0: none
};

extern const Range kAlpha[], kDecimal[], kDigit[], kNumeric[], kPrintable[], kSpace[], kUpper[],
    kLower[], kTitle[], kCaseIgnorable[];
extern const size_t kAlphaCount, kDecimalCount, kDigitCount, kNumericCount, kPrintableCount,
    kSpaceCount, kUpperCount, kLowerCount, kTitleCount, kCaseIgnorableCount;
extern const CaseRun kToUpper[], kToLower[], kToTitle[];
extern const size_t kToUpperCount, kToLowerCount, kToTitleCount;
extern const CaseSpecial kToUpperSpecial[], kToLowerSpecial[], kToTitleSpecial[];
extern const size_t kToUpperSpecialCount, kToLowerSpecialCount, kToTitleSpecialCount;

}  // namespace tables
}  // namespace headgate::jinja
