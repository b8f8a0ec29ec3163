// What the fuzz targets of grammars share: a small vocabulary, and texts read under what compiled.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "grammar/grammar_constraint.h"

namespace headgate {

inline std::shared_ptr<const TokenTrie> fuzz_vocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* piece :
       {"\":", "{\"", "\",\"", "}}", "]]", "true", "12", "aaaa", "ab", "  ", "é"})
    tokens.emplace_back(piece);
  tokens.emplace_back("end");
  const auto end = static_cast<int32_t>(tokens.size()) - 1;
  return std::make_shared<const TokenTrie>(tokens, std::vector<int32_t>{end});
}

// Compiles and takes some of the allowed tokens: what a mask allows must be accepted.
inline void read_some(const Grammar& grammar) {
  static const std::shared_ptr<const TokenTrie> trie = fuzz_vocabulary();
  GrammarOptions options;
  options.prepare = false;
  const GrammarConstraint constraint(grammar, trie, options);
  const std::unique_ptr<ConstraintState> state = constraint.start();
  std::vector<uint64_t> mask(static_cast<size_t>(mask_words(trie->vocabulary())));
  for (uint32_t step = 0; step < 24; ++step) {
    if (!state->fill_mask(mask)) return;
    int32_t token = static_cast<int32_t>(step * 97 % static_cast<uint32_t>(trie->vocabulary()));
    while ((mask[static_cast<size_t>(token / 64)] >> (token % 64) & 1) == 0)
      token = (token + 1) % trie->vocabulary();
    HEADGATE_CHECK(state->accept(token));
    if (step % 8 == 7) state->rewind(3);
  }
}

}  // namespace headgate
