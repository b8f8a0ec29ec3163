// Tests of compiled grammars: which texts fit, masks against single tokens, rewinding and forks.
#include "grammar/grammar_constraint.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/constraint_cache.h"
#include "grammar/grammar_test_tools.h"

namespace headgate {
namespace {

// Rules with every kind of difficulty: nesting, empty rules, left recursion, ambiguity.
constexpr const char* kGrammars[] = {
    R"~(root ::= "[" (root ("," root)*)? "]" | [0-9]+)~",
    R"~(root ::= expr
       expr ::= expr "+" term | expr "-" term | term
       term ::= term "*" factor | factor
       factor ::= "(" expr ")" | [a-z]+ | [0-9]{1,3})~",
    R"~(root ::= a | b
       a ::= "a" a "b" | ""
       b ::= "a" b "bb" | "")~",
    R"~(root ::= "a" root | "a" root "b" | "a")~",
    R"~(root ::= s s s
       s ::= empty "ab"? empty
       empty ::= ""? ("" | "")*)~",
    R"~(root ::= string{2,5}
       string ::= "\"" char{2,40} "\"" [ \n]{0,3}
       char ::= [^"\\\x00-\x1f] | "\\" ["\\n])~",
    R"~(root ::= (("a"? "b"?){0,30} "c"?){2,70} ".")~",
    R"~(root ::= "{" pair{1,100} "}"
       pair ::= "\"" [a-z]{1,20} "\"" ":" (root | "true" | [0-9]+) ","?)~",
    R"~(root ::= [^\n]* "\n" .{3,7} [\U00010000-\U0010FFFF]{0,2})~",
    R"~(root ::= x x
       x ::= y x | "."
       y ::= y y | "a" | "b" y "b")~",
    R"~(root ::= "a"{0,2000} "b"{300,} "c")~"};

TEST(GrammarConstraint, MasksSayWhatSingleTokensSay) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  for (const char* text : kGrammars) {
    SCOPED_TRACE(text);
    const GrammarConstraint constraint(gbnf_grammar(text, nullptr, "test"), trie);
    for (uint64_t seed = 0; seed < 4; ++seed) walk_and_compare(constraint, *trie, seed, 25);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(GrammarConstraint, CountsBeyondAnyTokensReachShareTheirMasks) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  const GrammarConstraint constraint(
      gbnf_grammar("root ::= \"a\"{0,2000} \"b\"{300,} \"c\"", nullptr, "test"), trie);
  std::unique_ptr<ConstraintState> state = constraint.start();
  for (int i = 0; i < 1999; ++i) ASSERT_TRUE(state->accept('a'));
  walk_and_compare(constraint, *trie, 1, 3);
  const std::vector<int32_t> last = allowed(*state, trie->vocabulary());
  for (const int32_t token : last)
    EXPECT_TRUE(trie->bytes(token) == "a" || trie->bytes(token)[0] == 'b' ||
                trie->bytes(token) == "ab")
        << trie->bytes(token);
  ASSERT_TRUE(state->accept('a'));
  EXPECT_FALSE(state->accept('a'));
  for (int i = 0; i < 300; ++i) {
    EXPECT_FALSE(state->fork()->accept('c'));
    ASSERT_TRUE(state->accept('b'));
  }
  EXPECT_TRUE(state->accept('c'));
  EXPECT_TRUE(state->is_complete());
}

TEST(GrammarConstraint, ReadsNestedLeftRecursiveAndAmbiguousRules) {
  EXPECT_TRUE(gbnf_matches(kGrammars[0], "[1,[2,[]],33]"));
  EXPECT_FALSE(gbnf_matches(kGrammars[0], "[1,[2,[]],33"));
  EXPECT_TRUE(gbnf_matches(kGrammars[1], "a+(b-12)*c*d-e"));
  EXPECT_FALSE(gbnf_matches(kGrammars[1], "a+(b-1234)"));
  EXPECT_TRUE(gbnf_matches(kGrammars[2], "aaabbb"));
  EXPECT_TRUE(gbnf_matches(kGrammars[2], "aaabbbbbb"));
  EXPECT_FALSE(gbnf_matches(kGrammars[2], "aaabbbb"));
  EXPECT_TRUE(gbnf_matches(kGrammars[4], ""));
  EXPECT_TRUE(gbnf_matches(kGrammars[4], "ababab"));
  EXPECT_FALSE(gbnf_matches(kGrammars[4], "abababab"));
  EXPECT_TRUE(gbnf_matches(kGrammars[9], "babbab.."));
}

TEST(GrammarConstraint, RewindsToAnyPlaceAndForksApart) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  const GrammarConstraint constraint(gbnf_grammar(kGrammars[0], nullptr, "test"), trie);
  std::unique_ptr<ConstraintState> state = constraint.start();
  for (const char c : std::string("[1,[2")) ASSERT_TRUE(state->accept(c));
  const std::vector<int32_t> here = allowed(*state, trie->vocabulary());
  std::unique_ptr<ConstraintState> other = state->fork();
  for (const char c : std::string("3]]")) ASSERT_TRUE(state->accept(c));
  EXPECT_TRUE(state->is_complete());
  ASSERT_TRUE(state->accept(trie->end_tokens()[0]));
  EXPECT_FALSE(state->accept(']'));
  state->rewind(4);
  EXPECT_EQ(allowed(*state, trie->vocabulary()), here);
  EXPECT_EQ(allowed(*other, trie->vocabulary()), here);
  EXPECT_EQ(other->accepted(), 5);
}

TEST(GrammarConstraint, EndsNestingInTimeToCloseIt) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  const GrammarConstraint constraint(gbnf_grammar(kGrammars[0], nullptr, "test"), trie);
  std::unique_ptr<ConstraintState> state = constraint.start();
  int depth = 0;
  while (state->accept('[')) ++depth;
  EXPECT_GT(depth, 100);
  EXPECT_LT(depth, 1100);
  const std::vector<int32_t> here = allowed(*state, trie->vocabulary());
  for (const int32_t token : here) EXPECT_TRUE(state->fork()->accept(token));
  for (; depth > 0; --depth) ASSERT_TRUE(state->accept(']'));
  EXPECT_TRUE(state->is_complete());
}

TEST(GrammarConstraint, LivesOnWhenItsMemoryIsRenewed) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  GrammarOptions small;
  small.machine_bytes = 20'000;
  for (const char* text : kGrammars) {
    SCOPED_TRACE(text);
    const Grammar grammar = gbnf_grammar(text, nullptr, "test");
    const GrammarConstraint renewed(grammar, trie, small), kept(grammar, trie);
    for (uint64_t seed = 0; seed < 1; ++seed) {
      std::unique_ptr<ConstraintState> a = renewed.start(), b = kept.start();
      for (uint64_t step = 0; step < 60; ++step) {
        const std::vector<int32_t> found = allowed(*a, trie->vocabulary());
        ASSERT_EQ(found, allowed(*b, trie->vocabulary()));
        const int32_t token = found[random_bits(seed, 2, step) % found.size()];
        ASSERT_TRUE(a->accept(token));
        ASSERT_TRUE(b->accept(token));
        if (step % 7 == 3) a->rewind(2);
        if (step % 7 == 3) b->rewind(2);
      }
    }
  }
}

TEST(GrammarConstraint, RefusesGrammarsWithoutTexts) {
  for (const char* text :
       {"root ::= \"a\" root", "root ::= a\na ::= \"x\" a | a \"y\"", "root ::= []"}) {
    try {
      (void)constraint_of(gbnf_grammar(text, nullptr, "test"));
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
}

TEST(ConstraintCache, KeepsTheLastUsedAndNoErrors) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  ConstraintCache cache(int64_t{1} << 30, 2);
  int compiled = 0;
  const auto get = [&](const std::string& text) {
    return cache.get(text, [&] {
      ++compiled;
      return std::make_shared<const GrammarConstraint>(regex_grammar(text), trie);
    });
  };
  const std::shared_ptr<const TokenConstraint> a = get("a");
  EXPECT_EQ(get("a"), a);
  (void)get("b");
  (void)get("a");
  (void)get("c");  // "b" was used longest ago
  EXPECT_EQ(get("a"), a);
  EXPECT_EQ(compiled, 3);
  (void)get("b");
  EXPECT_EQ(compiled, 4);
  EXPECT_THROW((void)get("("), Error);
  EXPECT_THROW((void)get("("), Error);
  EXPECT_EQ(cache.figures().entries, 2);
  ConstraintCache tiny(1, 100);
  for (int i = 0; i < 3; ++i)
    (void)tiny.get(std::to_string(i), [&] {
      return std::make_shared<const GrammarConstraint>(regex_grammar("x"), trie);
    });
  EXPECT_EQ(tiny.figures().entries, 1);
}

TEST(GrammarConstraint, GivesUpOnTextsWithTooManyReadings) {
  const GrammarConstraint constraint =
      constraint_of(gbnf_grammar("root ::= root root | \"a\" | \"\"", nullptr, "t"));
  EXPECT_TRUE(constraint.matches(std::string(30, 'a')));
  EXPECT_THROW((void)constraint.matches(std::string(100'000, 'a')), Error);
}

TEST(GrammarConstraint, SaysWhatItExpects) {
  const GrammarConstraint constraint = constraint_of(gbnf_grammar("root ::= \"ab\"", nullptr, "t"));
  std::unique_ptr<ConstraintState> state = constraint.start();
  EXPECT_EQ(state->explain(), "after 0 tokens, expected one of a");
  ASSERT_TRUE(state->accept('a'));
  ASSERT_TRUE(state->accept('b'));
  EXPECT_EQ(state->explain(), "after 2 tokens, expected or the end");
}

}  // namespace
}  // namespace headgate
