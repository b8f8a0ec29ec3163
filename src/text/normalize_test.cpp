// NFC by example and by its properties.
#include "text/normalize.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "text/unicode.h"

namespace headgate {
namespace {

std::string nfc(std::string_view text) {
  std::string storage;
  return std::string(normalize_nfc(text, storage));
}

std::string utf8(std::initializer_list<char32_t> code_points) {
  std::string text;
  for (const char32_t c : code_points) append_utf8(text, c);
  return text;
}

TEST(Normalize, ReturnsTheSameViewForTextThatIsNfc) {
  const std::string text = "plain, caf\u00e9, \u4e2d\u6587, \uac01, x\u0332";
  std::string storage;
  EXPECT_EQ(normalize_nfc(text, storage).data(), text.data());
}

TEST(Normalize, ComposesLettersAndMarks) {
  EXPECT_EQ(nfc("cafe\u0301!"), "caf\u00e9!");
  EXPECT_EQ(nfc("e\u0301e\u0301"), "\u00e9\u00e9");
  EXPECT_EQ(nfc("a\u0302\u0301"), "\u1ea5");
  EXPECT_EQ(nfc("\u00e2\u0301"), "\u1ea5");
}

TEST(Normalize, ReplacesSingletons) {
  EXPECT_EQ(nfc("\u212b"), "\u00c5");
  EXPECT_EQ(nfc("\u2126"), "\u03a9");
  EXPECT_EQ(nfc("\U0002f800"), "\u4e3d");
}

TEST(Normalize, KeepsExcludedCompositesApart) {
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c");
  EXPECT_EQ(nfc("\u0915\u093c"), "\u0915\u093c");
  EXPECT_EQ(nfc("\u0344"), "\u0308\u0301");
}

TEST(Normalize, OrdersMarksByClassAndKeepsEqualOnesInOrder) {
  EXPECT_EQ(nfc("x\u0301\u0323"), "x\u0323\u0301");
  EXPECT_EQ(nfc("x\u0301\u0300"), "x\u0301\u0300");
  EXPECT_EQ(nfc("a\u0301\u0323"), utf8({0x1ea1, 0x0301}));
}

TEST(Normalize, AnEqualClassBlocksComposition) {
  // U+0305 has the class of U+0301 and does not compose with "e", so the acute cannot reach it.
  EXPECT_EQ(nfc("e\u0305\u0301"), "e\u0305\u0301");
}

TEST(Normalize, ComposesHangulByArithmetic) {
  EXPECT_EQ(nfc(utf8({0x1100, 0x1161})), "\uac00");
  EXPECT_EQ(nfc(utf8({0x1100, 0x1161, 0x11a8})), "\uac01");
  EXPECT_EQ(nfc(utf8({0xac00, 0x11a8})), "\uac01");
  EXPECT_EQ(nfc(utf8({0xac00, 0x11a7})), utf8({0xac00, 0x11a7}));  // no trailing consonant
  EXPECT_EQ(nfc(utf8({0xac01, 0x11a8})), utf8({0xac01, 0x11a8}));  // has one already
}

TEST(Normalize, IsIdempotentOnEveryCodePoint) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    const std::string once = nfc(utf8({'a', c, 0x0301, c}));
    ASSERT_EQ(nfc(once), once) << std::hex << static_cast<uint32_t>(c);
  }
}

TEST(Normalize, SortsAHundredThousandMarks) {
  std::string text = "a";
  for (int i = 0; i < 100000; ++i) text += "\u0301\u0323";
  const std::string out = nfc(text);
  // The first U+0323 composes with the a, the others come before all U+0301.
  EXPECT_EQ(out.substr(0, 5), "\u1ea1\u0323");
  EXPECT_EQ(out.size(), 3u + 99999 * 2 + 100000 * 2);
}

TEST(Unicode, ClassesAreThoseOfUnicode16) {
  const auto kind = [](char32_t c) { return unicode_properties(c) & kCharClassMask; };
  EXPECT_EQ(kind(U'x'), kLetter);
  EXPECT_EQ(kind(0x1c89), kLetter);  // new in 16.0
  EXPECT_EQ(kind(0x00bd), kNumber);
  EXPECT_EQ(kind(0x2167), kNumber);
  EXPECT_EQ(kind(0x0301), kMark);
  EXPECT_EQ(kind(0x0085), kSpace);
  EXPECT_EQ(kind(0x3000), kSpace);
  EXPECT_EQ(kind(0x001c), kOther);  // white space for Python, not for Unicode
  EXPECT_EQ(kind(U'\n'), kNewline);
  EXPECT_EQ(kind(0x2028), kSpace);
  EXPECT_EQ(kind(0xe0100), kMark);
  EXPECT_EQ(kind(0x110000), kOther);
  EXPECT_EQ(kind(0xffffffff), kOther);
}

}  // namespace
}  // namespace headgate
