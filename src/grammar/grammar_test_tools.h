// Help for the tests of this room: a small vocabulary, random texts, and masks checked token by
// token.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "grammar/gbnf.h"
#include "grammar/grammar_constraint.h"
#include "grammar/regex.h"

namespace headgate {

// All bytes, then pieces as tokenizers have them, then the end token.
inline std::shared_ptr<const TokenTrie> small_vocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* piece :
       {"ab",       "abc",          "aa",         "aaa",      "aaaa",     "aaaaaaaa", "ba",
        "12",       "123",          "1234",       "\",",      "\":",      "\": ",     "{\"",
        "\"}",      "\"],",         "[\"",        "[[",       "]]",       "[[[[",     "]}",
        "}}",       "},",           "},{",        "true",     "false",    "null",     "tr",
        "nul",      " \"",          ", ",         ": ",       "\n",       "  ",       "    ",
        "\xc3\xa9", "\xe4\xb8\xad", "\xb8\xad\"", "\xf0\x9f", "\x98\x80", "-1",       "0.5",
        "e+",       "a\"",          "b\",",       "\\n",      "\\u00",    "name",     "\"name\"",
        "age",      "\"name\": \"", "the",        " the",     "and",      "x,",       "()",
        "(("})
    tokens.emplace_back(piece);
  tokens.emplace_back("<end>");
  const auto end = static_cast<int32_t>(tokens.size()) - 1;
  return std::make_shared<const TokenTrie>(tokens, std::vector<int32_t>{end});
}

inline std::vector<int32_t> allowed(ConstraintState& state, int32_t vocabulary) {
  std::vector<uint64_t> mask(static_cast<size_t>(mask_words(vocabulary)));
  (void)state.fill_mask(mask);
  std::vector<int32_t> out;
  for (int32_t token = 0; token < vocabulary; ++token) {
    if ((mask[static_cast<size_t>(token / 64)] >> (token % 64) & 1) != 0) out.push_back(token);
  }
  return out;
}

// Walks at random for `steps` tokens; at every place each token is tried one by one and compared
// with the mask. Returns the text.
inline std::string walk_and_compare(const TokenConstraint& constraint, const TokenTrie& trie,
                                    uint64_t seed, int steps) {
  std::unique_ptr<ConstraintState> state = constraint.start();
  std::string text;
  for (int step = 0; step < steps; ++step) {
    const std::vector<int32_t> found = allowed(*state, trie.vocabulary());
    std::vector<int32_t> expected;
    for (int32_t token = 0; token < trie.vocabulary(); ++token) {
      if (state->fork()->accept(token)) expected.push_back(token);
    }
    EXPECT_EQ(found, expected) << "after \"" << text << "\"";
    EXPECT_FALSE(found.empty()) << "after \"" << text << "\": " << state->explain();
    if (found.empty() || found != expected) return text;
    const int32_t token = found[random_bits(seed, 1, static_cast<uint64_t>(step)) % found.size()];
    EXPECT_TRUE(state->accept(token));
    if (trie.is_end(token)) return text;
    text += trie.bytes(token);
  }
  return text;
}

// A whole text drawn at random; brings itself to an end after about `most` tokens. Nothing when
// that does not work out.
inline std::optional<std::string> random_text(const TokenConstraint& constraint,
                                              const TokenTrie& trie, uint64_t seed, int most) {
  std::unique_ptr<ConstraintState> state = constraint.start();
  std::string text;
  for (uint64_t step = 0; step < static_cast<uint64_t>(most) + 3000; ++step) {
    const std::vector<int32_t> found = allowed(*state, trie.vocabulary());
    if (found.empty()) return std::nullopt;
    int32_t token = found[random_bits(seed, 1, step) % found.size()];
    if (step > static_cast<uint64_t>(most)) {
      for (const int32_t closing : {trie.end_tokens()[0], int32_t{'}'}, int32_t{']'}, int32_t{'"'}})
        if (std::find(found.begin(), found.end(), closing) != found.end()) {
          token = closing;
          break;
        }
    }
    if (!state->accept(token)) return std::nullopt;
    if (trie.is_end(token)) return text;
    text += trie.bytes(token);
  }
  return std::nullopt;
}

inline GrammarConstraint constraint_of(const Grammar& grammar) {
  return GrammarConstraint(grammar, small_vocabulary());
}
inline bool regex_matches(std::string_view pattern, std::string_view text) {
  return constraint_of(regex_grammar(pattern)).matches(text);
}
inline bool gbnf_matches(std::string_view grammar, std::string_view text) {
  return constraint_of(gbnf_grammar(grammar, nullptr, "test")).matches(text);
}

}  // namespace headgate
