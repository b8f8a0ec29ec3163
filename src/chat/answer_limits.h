// Limits on an answer beside its form: a least length, words that may not come, the only tokens
// that may, and an end to thinking.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chat/output_parser.h"
#include "grammar/token_trie.h"
#include "sampling/token_constraint.h"

namespace headgate {

struct AnswerLimits {
  int64_t min_tokens = 0;               // the answer does not end before
  std::vector<int32_t> end_tokens;      // what would end it
  std::vector<std::string> bad_words;   // texts that never occur in it, in whatever tokens
  std::vector<int32_t> allowed_tokens;  // with the end tokens, the only ones; empty: all
  int64_t thinking_tokens = -1;         // thinking ends after so many; -1: when it likes
  OutputParserOptions::Reasoning reasoning = OutputParserOptions::Reasoning::kNone;

  bool limits_anything() const;
};

// `form` (null: any text) under these limits. Where a form is complete, the answer ends however
// short it is. Throws kInvalidArgument for empty words, unknown tokens, and a thinking limit where
// the vocabulary has no </think>. Thread rule: as TokenConstraint.
std::shared_ptr<const TokenConstraint> limit_answer(std::shared_ptr<const TokenConstraint> form,
                                                    const AnswerLimits& limits,
                                                    std::shared_ptr<const TokenTrie> trie);

}  // namespace headgate
