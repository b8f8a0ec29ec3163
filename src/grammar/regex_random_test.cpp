// Random small regular expressions, nested repetitions and empty alternatives above all, against a
// matcher that tries everything.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "grammar/grammar_test_tools.h"

namespace headgate {
namespace {

using Ends = std::set<size_t>;

// A pattern over the letters a and b, with its own meaning: where readings that begin at `from` may
// end in `text`.
struct Pattern {
  enum class Kind { kEmpty, kLetter, kSequence, kChoice, kRepeat };
  Kind kind = Kind::kEmpty;
  char letter = 'a';
  int min = 0, max = 0;
  std::vector<Pattern> parts;

  Ends ends(const std::string& text, size_t from) const {
    switch (kind) {
      case Kind::kEmpty:
        return {from};
      case Kind::kLetter:
        return from < text.size() && text[from] == letter ? Ends{from + 1} : Ends{};
      case Kind::kSequence: {
        Ends at{from};
        for (const Pattern& part : parts) at = part.ends_from(text, at);
        return at;
      }
      case Kind::kChoice: {
        Ends out;
        for (const Pattern& part : parts) out.merge(part.ends(text, from));
        return out;
      }
      case Kind::kRepeat:
        break;
    }
    Ends at{from}, out;
    for (int turn = 0; turn <= max; ++turn) {
      if (turn >= min) out.insert(at.begin(), at.end());
      at = parts[0].ends_from(text, at);
    }
    return out;
  }

  Ends ends_from(const std::string& text, const Ends& starts) const {
    Ends out;
    for (const size_t start : starts) out.merge(ends(text, start));
    return out;
  }

  std::string source() const {
    if (kind == Kind::kEmpty) return "()";
    if (kind == Kind::kLetter) return std::string(1, letter);
    std::string out = "(";
    for (size_t i = 0; i < parts.size(); ++i)
      out += (i > 0 && kind == Kind::kChoice ? "|" : "") + parts[i].source();
    out += ")";
    if (kind == Kind::kRepeat) out += "{" + std::to_string(min) + "," + std::to_string(max) + "}";
    return out;
  }
};

Pattern random_pattern(uint64_t seed, uint64_t& draws, int depth) {
  const auto draw = [&](uint64_t below) { return random_bits(seed, 2, draws++) % below; };
  Pattern made;
  const uint64_t kind = depth == 0 ? draw(5) : 3 + draw(7);
  if (kind == 0) return made;
  if (kind < 5) {
    made.kind = Pattern::Kind::kLetter;
    made.letter = draw(2) == 0 ? 'a' : 'b';
    return made;
  }
  made.kind = kind < 7   ? Pattern::Kind::kSequence
              : kind < 8 ? Pattern::Kind::kChoice
                         : Pattern::Kind::kRepeat;
  const uint64_t parts = made.kind == Pattern::Kind::kRepeat ? 1 : 2 + draw(2);
  for (uint64_t i = 0; i < parts; ++i) made.parts.push_back(random_pattern(seed, draws, depth - 1));
  // Many turns are rules of their own to the automaton, few are written out.
  made.min = static_cast<int>(draw(4));
  made.max = made.min + static_cast<int>(draw(2) == 0 ? draw(3) : 9 + draw(9));
  return made;
}

TEST(RandomRegex, FitsWhatTryingEverythingFits) {
  constexpr uint64_t kPatterns = 1200;
  constexpr size_t kLongest = 6;
  for (uint64_t seed = 0; seed < kPatterns; ++seed) {
    uint64_t draws = 0;
    const Pattern pattern = random_pattern(seed, draws, 4);
    const GrammarConstraint constraint = constraint_of(regex_grammar(pattern.source()));
    for (size_t length = 0; length <= kLongest; ++length) {
      for (size_t bits = 0; bits < size_t{1} << length; ++bits) {
        std::string text;
        for (size_t i = 0; i < length; ++i) text += (bits >> i & 1) != 0 ? 'b' : 'a';
        ASSERT_EQ(constraint.matches(text), pattern.ends(text, 0).contains(length))
            << pattern.source() << " on \"" << text << "\"";
      }
    }
  }
}

TEST(RandomRegex, MasksAllowWhatIsAccepted) {
  const std::shared_ptr<const TokenTrie> trie = small_vocabulary();
  for (uint64_t seed = 0; seed < 300; ++seed) {
    uint64_t draws = 0;
    const Pattern pattern = random_pattern(seed, draws, 4);
    GrammarOptions options;
    options.prepare = false;
    const GrammarConstraint constraint(regex_grammar(pattern.source()), trie, options);
    walk_and_compare(constraint, *trie, seed, 8);
    ASSERT_FALSE(testing::Test::HasFailure()) << pattern.source();
  }
}

// A repetition called at the end of a repeated rule that has read something already: reading
// nothing there ends a turn of the outer one.
TEST(RandomRegex, AnEmptyRepetitionEndsARepeatedTurn) {
  const char* pattern = "(abb(|bab|c){12}){12}";
  std::string twelve;
  for (int i = 0; i < 12; ++i) twelve += "abb";
  EXPECT_TRUE(regex_matches(pattern, twelve));
  EXPECT_TRUE(regex_matches(pattern, "abbcbabc" + twelve.substr(3)));
  EXPECT_FALSE(regex_matches(pattern, twelve.substr(3)));
  EXPECT_FALSE(regex_matches(pattern, twelve + "abb"));
}

TEST(RandomRegex, StacksOfRepetitionsAreOne) {
  const std::string stack = "(" + std::string(20, '(') + "ab";
  std::string plus = stack, star = stack;
  for (int i = 0; i < 20; ++i) {
    plus += "+)";
    star += i % 2 == 0 ? "+)" : "*)";
  }
  for (const auto& [pattern, may_be_empty] : {std::pair{plus, false}, std::pair{star, true}}) {
    EXPECT_TRUE(regex_matches(pattern + "c)", "abababc"));
    EXPECT_EQ(regex_matches(pattern + "c)", "c"), may_be_empty);
    EXPECT_FALSE(regex_matches(pattern + "c)", "abac"));
  }
  EXPECT_TRUE(regex_matches("(a+){3}", "aaa"));
  EXPECT_FALSE(regex_matches("(a+){3}", "aa"));
  EXPECT_FALSE(regex_matches("(a+){0}", "a"));
}

}  // namespace
}  // namespace headgate
