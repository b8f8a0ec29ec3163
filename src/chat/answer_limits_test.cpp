// Tests of limits beside a form: lengths, words, tokens and thinking, with and without a form.
#include "chat/answer_limits.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "grammar/grammar_constraint.h"
#include "grammar/regex.h"
#include "text/byte_level.h"

namespace headgate {
namespace {

constexpr int32_t kEnd = 256, kThink = 257, kThinkEnd = 258;

// All bytes, perhaps a blank line, an end, the tags of thinking.
std::shared_ptr<const TokenTrie> bytes_and_tags(bool blank_line = false) {
  TokenizerParts parts;
  parts.source = "test";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    parts.tokens.push_back(spell_bytes({&c, 1}));
  }
  if (blank_line) parts.tokens.push_back(spell_bytes("\n\n"));
  const auto end = static_cast<int32_t>(parts.tokens.size());
  int32_t id = end;
  for (const char* name : {"<|im_end|>", "<think>", "</think>"}) {
    AddedToken token;
    token.id = id++;
    token.content = name;
    token.special = token.id == end;
    parts.added.push_back(token);
  }
  return std::make_shared<const TokenTrie>(Tokenizer::from_parts(parts), std::vector<int32_t>{end});
}

std::shared_ptr<const TokenConstraint> form_of(const char* regex,
                                               const std::shared_ptr<const TokenTrie>& trie) {
  return std::make_shared<const GrammarConstraint>(regex_grammar(regex), trie);
}

std::vector<int32_t> allowed(ConstraintState& state) {
  std::vector<uint64_t> mask(static_cast<size_t>(mask_words(kThinkEnd + 1)));
  std::vector<int32_t> out;
  if (!state.fill_mask(mask)) return out;
  for (int32_t token = 0; token <= kThinkEnd; ++token)
    if ((mask[static_cast<size_t>(token / 64)] >> (token % 64)) & 1) out.push_back(token);
  return out;
}

bool allows(ConstraintState& state, int32_t token) {
  const std::vector<int32_t> tokens = allowed(state);
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

void say(ConstraintState& state, std::string_view text) {
  for (const char c : text) ASSERT_TRUE(state.accept(static_cast<uint8_t>(c))) << text;
}

TEST(AnswerLimits, AnswersDoNotEndBeforeTheirLeastLength) {
  AnswerLimits limits;
  limits.min_tokens = 2;
  limits.end_tokens = {kEnd};
  const auto state = limit_answer(nullptr, limits, bytes_and_tags())->start();
  EXPECT_FALSE(allows(*state, kEnd));
  EXPECT_FALSE(state->accept(kEnd));
  say(*state, "ab");
  EXPECT_TRUE(allows(*state, kEnd));
  state->rewind(1);
  EXPECT_FALSE(state->accept(kEnd));
  say(*state, "c");
  EXPECT_TRUE(state->accept(kEnd));
  EXPECT_EQ(allowed(*state), std::vector<int32_t>{kEnd});
}

TEST(AnswerLimits, ACompleteFormEndsHoweverShort) {
  AnswerLimits limits;
  limits.min_tokens = 9;
  const auto trie = bytes_and_tags();
  const auto state = limit_answer(form_of("ab?", trie), limits, trie)->start();
  say(*state, "a");
  EXPECT_EQ(allowed(*state), std::vector<int32_t>{'b'}) << "a may end, but it is too short";
  say(*state, "b");
  EXPECT_TRUE(state->is_complete());
  EXPECT_EQ(allowed(*state), std::vector<int32_t>{kEnd});
}

TEST(AnswerLimits, BadWordsNeverOccurInWhateverPieces) {
  AnswerLimits limits;
  limits.end_tokens = {kEnd};
  limits.bad_words = {"cat", "ta"};
  const auto state = limit_answer(nullptr, limits, bytes_and_tags())->start();
  say(*state, "ca");
  EXPECT_FALSE(allows(*state, 't'));
  EXPECT_FALSE(state->accept('t'));
  EXPECT_TRUE(allows(*state, kThink)) << "tags are not text";
  say(*state, "rt");
  EXPECT_FALSE(allows(*state, 'a'));
  state->rewind(2);
  EXPECT_FALSE(allows(*state, 't'));
  const auto fork = state->fork();
  say(*fork, "b");
  EXPECT_TRUE(allows(*fork, 't'));
  EXPECT_FALSE(allows(*state, 't'));
}

TEST(AnswerLimits, ThinkingEndsWithItsBudget) {
  AnswerLimits limits;
  limits.end_tokens = {kEnd};
  limits.thinking_tokens = 2;
  limits.reasoning = OutputParserOptions::Reasoning::kOpen;
  const auto trie = bytes_and_tags();
  const auto open = limit_answer(nullptr, limits, trie)->start();
  say(*open, "ab");
  EXPECT_EQ(allowed(*open), std::vector<int32_t>{kThinkEnd});
  EXPECT_FALSE(open->accept('c'));
  ASSERT_TRUE(open->accept(kThinkEnd));
  EXPECT_FALSE(allows(*open, kThinkEnd)) << "it does not think again";
  say(*open, "answer");
  limits.reasoning = OutputParserOptions::Reasoning::kMayOpen;
  const auto may = limit_answer(nullptr, limits, trie)->start();
  ASSERT_TRUE(may->accept(kThink));
  say(*may, "ab");
  EXPECT_EQ(allowed(*may), std::vector<int32_t>{kThinkEnd});
  const auto none = limit_answer(nullptr, limits, trie)->start();
  say(*none, "no thoughts at all");
}

TEST(AnswerLimits, ABlankLineFollowsThoughtsThatWereCutOff) {
  const auto trie = bytes_and_tags(/*blank_line=*/true);
  constexpr int32_t kBlankLine = 256, kMovedEnd = 257, kMovedThinkEnd = 259;
  AnswerLimits limits;
  limits.end_tokens = {kMovedEnd};
  limits.thinking_tokens = 1;
  limits.reasoning = OutputParserOptions::Reasoning::kOpen;
  const auto constraint = limit_answer(nullptr, limits, trie);
  const auto cut = constraint->start();
  ASSERT_TRUE(cut->accept('a') && cut->accept(kMovedThinkEnd));
  EXPECT_FALSE(cut->accept('a'));
  ASSERT_TRUE(cut->accept(kBlankLine));
  EXPECT_TRUE(cut->accept('a') && cut->accept(kMovedEnd));
  const auto short_thought = constraint->start();
  EXPECT_TRUE(short_thought->accept(kMovedThinkEnd) && short_thought->accept('a'))
      << "it ended by itself";
}

TEST(AnswerLimits, OnlyAllowedTokensAndTheEndCome) {
  AnswerLimits limits;
  limits.end_tokens = {kEnd};
  limits.allowed_tokens = {'x', 'y'};
  const auto trie = bytes_and_tags();
  const auto state = limit_answer(form_of("[w-z]+", trie), limits, trie)->start();
  EXPECT_EQ(allowed(*state), (std::vector<int32_t>{'x', 'y'}));
  say(*state, "xy");
  EXPECT_EQ(allowed(*state), (std::vector<int32_t>{'x', 'y', kEnd}));
}

TEST(AnswerLimits, MasksAndTokensAgreeOnRandomWalks) {
  AnswerLimits limits;
  limits.min_tokens = 5;
  limits.end_tokens = {kEnd};
  limits.bad_words = {"aa", "bab"};
  limits.thinking_tokens = 3;
  limits.reasoning = OutputParserOptions::Reasoning::kMayOpen;
  const auto trie = bytes_and_tags();
  const auto constraint = limit_answer(form_of("[ab]*c?", trie), limits, trie);
  for (int walk = 0; walk < 50; ++walk) {
    const auto state = constraint->start();
    for (int step = 0; step < 30; ++step) {
      const std::vector<int32_t> tokens = allowed(*state);
      if (tokens.empty()) break;
      for (int32_t token = 0; token <= kThinkEnd; token += 1 + token % 7) {
        const bool expected = std::find(tokens.begin(), tokens.end(), token) != tokens.end();
        const bool taken = state->accept(token);
        ASSERT_EQ(taken, expected) << token << " after " << state->accepted();
        if (taken) state->rewind(1);
      }
      ASSERT_TRUE(state->accept(
          tokens[random_bits(7, static_cast<uint64_t>(walk), static_cast<uint64_t>(step)) %
                 tokens.size()]));
    }
  }
}

TEST(AnswerLimits, WhatCannotBeIsRefused) {
  const auto trie = bytes_and_tags();
  AnswerLimits words;
  words.bad_words = {""};
  EXPECT_THROW(limit_answer(nullptr, words, trie), Error);
  AnswerLimits tokens;
  tokens.allowed_tokens = {1000};
  EXPECT_THROW(limit_answer(nullptr, tokens, trie), Error);
  AnswerLimits thinking;
  thinking.thinking_tokens = 5;
  thinking.reasoning = OutputParserOptions::Reasoning::kOpen;
  const auto plain = std::make_shared<const TokenTrie>(std::vector<std::string>{"a", "b", ""},
                                                       std::vector<int32_t>{2});
  EXPECT_THROW(limit_answer(nullptr, thinking, plain), Error);
}

}  // namespace
}  // namespace headgate
