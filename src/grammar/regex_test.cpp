// Tests of regular expressions and GBNF: texts that fit, and inputs that are refused.
#include "grammar/regex.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/grammar_test_tools.h"

namespace headgate {
namespace {

TEST(Regex, FitsWholeTexts) {
  struct Case {
    const char* pattern;
    std::vector<const char*> yes, no;
  };
  const Case cases[] = {
      {"a|bc*", {"a", "b", "bccc"}, {"", "ab", "c"}},
      {"(?:ab){2,3}", {"abab", "ababab"}, {"ab", "abababab"}},
      {"a{3}b{2,}c{0,1}", {"aaabb", "aaabbbbc"}, {"aabb", "aaab", "aaabbcc"}},
      {"[a-c\\d_-]+", {"a", "c9_-"}, {"d", ""}},
      {"[^a-z]", {"A", "\xc3\xa9", "\xf0\x9f\x98\x80"}, {"a", "AA"}},
      {"^x$", {"x"}, {"^x$", ""}},
      {"\\u00e9\\x41\\n",
       {"\xc3\xa9"
        "A\n"},
       {"e"}},
      {".", {"a", "\xe4\xb8\xad"}, {"\n", "ab"}},
      {"\\p{L}+\\P{L}",
       {"Stra\xc3\x9f"
        "e!"},
       {"1", "ab"}},
      {"\\w\\W\\s\\S\\d\\D", {"a- b1x"}, {"a- b11"}},
      {"(a?b?)*c", {"c", "abbac"}, {"ab"}},
      {"(?<year>\\d{4})", {"2024"}, {"24"}},
      {"a{,3}", {"a{,3}"}, {"aa"}},
      {"()", {""}, {"a"}},
      {"a*?b+?", {"aab", "b"}, {"a"}},
      {"(a|b|){0,300}", {"", "abba"}, {"c"}},
      {"[\\w.-]+@x", {"a.b-c@x"}, {"@x"}},
      {"\\ud83d\\ude00", {"\xf0\x9f\x98\x80"}, {"a"}},
  };
  for (const Case& test : cases) {
    for (const char* text : test.yes)
      EXPECT_TRUE(regex_matches(test.pattern, text)) << test.pattern << " on " << text;
    for (const char* text : test.no)
      EXPECT_FALSE(regex_matches(test.pattern, text)) << test.pattern << " on " << text;
  }
}

TEST(Regex, RefusesByNameWhatItCannotDo) {
  for (const char* pattern :
       {"(",           ")",   "a)",  "[a",    "a**",       "*a",     "(?=a)",   "(?!a)",
        "(?<=a)",      "\\1", "\\b", "a++",   "[b-a]",     "a{3,2}", "\\p{Lu}", "\\x4",
        "\\u{110000}", "(a",  "a$b", "x(^a)", "a{100001}", "\xff",   "\\q",     "\\"}) {
    try {
      (void)regex_grammar(pattern);
      FAIL() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << pattern;
    }
  }
}

TEST(Regex, RefusesNestingSizeAndBlowUpInTime) {
  const std::string groups = std::string(60'000, '(') + std::string(60'000, ')');
  EXPECT_THROW((void)regex_grammar(groups), Error);
  EXPECT_THROW((void)regex_grammar(std::string((1 << 20) + 1, 'a')), Error);
  // Subsets double with every letter: the automaton stays as it is, or compiling gives up.
  EXPECT_TRUE(regex_matches("(a|b)*a(a|b){20}", "ba" + std::string(20, 'b')));
  EXPECT_FALSE(regex_matches("(a|b)*a(a|b){20}", "bb" + std::string(20, 'b')));
  std::string nested = "a";
  for (int i = 0; i < 6; ++i) nested = "(" + nested + "){1,90}";
  EXPECT_TRUE(regex_matches(nested, "aaa"));
}

TEST(Gbnf, ReadsEscapesCommentsAndLineBreaks) {
  const char* grammar = R"(# a comment
root ::= greeting " " name   # another
  | "bye"
greeting ::= ("hello"
   | "hi") ","
name ::= [A-Z] [a-z]{1,} "\x21" "\u00e9"? [\]\-^a]
)";
  EXPECT_TRUE(gbnf_matches(grammar, "hi, Bob!\xc3\xa9]"));
  EXPECT_TRUE(gbnf_matches(grammar, "hello, Anna!-"));
  EXPECT_TRUE(gbnf_matches(grammar, "bye"));
  EXPECT_FALSE(gbnf_matches(grammar, "hi Bob!"));
}

TEST(Gbnf, RefusesBrokenGrammarsWithTheirLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"x ::= \"a\"", "no rule root"},
      {"root ::= a", "rule a is used but not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2: rule root is defined twice"},
      {"root ::= \"a", "a literal without an end"},
      {"root ::= (\"a\"", "a group without an end"},
      {"root = \"a\"", "expected ::="},
      {"root ::= \"\\q\"", "an unknown escape"},
      {"root ::= \"a\"{5,2}", "wrong way round"},
      {"root ::= [z-a]", "wrong way round"},
      {"root ::= <think>", "no token <think>"},
      {"root ::= \"a\")", "expected the end of the line"},
      {"\xff", "not valid UTF-8"}};
  for (const auto& [grammar, expected] : cases) {
    try {
      (void)gbnf_grammar(grammar, nullptr, "test");
      FAIL() << grammar;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
  const std::string groups = "root ::= " + std::string(60'000, '(') + std::string(60'000, ')');
  EXPECT_THROW((void)gbnf_grammar(groups, nullptr, "test"), Error);
}

}  // namespace
}  // namespace headgate
