// The pieces of the two pre-tokenizer expressions.
#include "text/pretokenizer.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces(std::string_view text, PreTokenizer pre = PreTokenizer::kQwen2) {
  Pieces out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = piece_end(pre, text, begin);
    out.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return out;
}

TEST(PreTokenizer, GivesTheLastSpaceToTheWord) {
  EXPECT_EQ(pieces("one two"), (Pieces{"one", " two"}));
  EXPECT_EQ(pieces("one   two"), (Pieces{"one", "  ", " two"}));
  EXPECT_EQ(pieces("x\ty"), (Pieces{"x", "\ty"}));
  EXPECT_EQ(pieces("x  "), (Pieces{"x", "  "}));
  EXPECT_EQ(pieces("  1"), (Pieces{" ", " ", "1"}));
}

TEST(PreTokenizer, EndsARunOfSpaceAtItsLastLineBreak) {
  EXPECT_EQ(pieces("a \n \n  b"), (Pieces{"a", " \n \n", " ", " b"}));
  EXPECT_EQ(pieces("a\r\nb"), (Pieces{"a", "\r\n", "b"}));
  EXPECT_EQ(pieces("\n\n "), (Pieces{"\n\n", " "}));
}

TEST(PreTokenizer, SplitsDigitsOneByOne) {
  EXPECT_EQ(pieces("x12"), (Pieces{"x", "1", "2"}));
  EXPECT_EQ(pieces(" 1\u00bd\u2167"), (Pieces{" ", "1", "\u00bd", "\u2167"}));
}

TEST(PreTokenizer, SplitsContractionsInEitherCase) {
  EXPECT_EQ(pieces("it's WE'LL"), (Pieces{"it", "'s", " WE", "'LL"}));
  EXPECT_EQ(pieces("'rest"), (Pieces{"'re", "st"}));
  EXPECT_EQ(pieces("'lx"), (Pieces{"'lx"}));
  EXPECT_EQ(pieces("x'\u017fy"), (Pieces{"x", "'\u017f", "y"}));  // s folds to the long s
  EXPECT_EQ(pieces("x\u2019s"), (Pieces{"x", "\u2019s"}));
  EXPECT_EQ(pieces("x'"), (Pieces{"x", "'"}));
  EXPECT_EQ(pieces("x'r"), (Pieces{"x", "'r"}));
}

TEST(PreTokenizer, PutsOneSignBeforeAWordAndLineBreaksBehindSigns) {
  EXPECT_EQ(pieces("(a) ,b"), (Pieces{"(a", ")", " ,", "b"}));
  EXPECT_EQ(pieces("..a"), (Pieces{"..", "a"}));
  EXPECT_EQ(pieces("};\n\nx"), (Pieces{"};\n\n", "x"}));
  EXPECT_EQ(pieces(" !\r\n !"), (Pieces{" !\r\n", " !"}));
}

TEST(PreTokenizer, TheTwoExpressionsDifferInCombiningMarks) {
  const std::string text = "\u0915\u094d\u0937 \u0301";
  EXPECT_EQ(pieces(text), (Pieces{"\u0915", "\u094d\u0937", " \u0301"}));
  EXPECT_EQ(pieces(text, PreTokenizer::kQwen35), (Pieces{"\u0915\u094d\u0937", " \u0301"}));
  EXPECT_EQ(pieces("!\u0301x"), (Pieces{"!\u0301", "x"}));
  EXPECT_EQ(pieces("!\u0301x", PreTokenizer::kQwen35), (Pieces{"!\u0301x"}));
}

TEST(PreTokenizer, IsFoundByItsExpressionAndByItsName) {
  for (const PreTokenizer pre : {PreTokenizer::kQwen2, PreTokenizer::kQwen35}) {
    EXPECT_EQ(pre_tokenizer_of_regex(pre_tokenizer_regex(pre)), pre);
    EXPECT_EQ(pre_tokenizer_of_name(pre_tokenizer_name(pre)), pre);
  }
  EXPECT_EQ(pre_tokenizer_of_regex("\\s+"), std::nullopt);
  EXPECT_EQ(pre_tokenizer_of_name("llama-bpe"), std::nullopt);
}

}  // namespace
}  // namespace headgate
