// A grammar as a constraint on tokens: compiled once for a vocabulary, obeyed by many sequences.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/token_trie.h"
#include "sampling/token_constraint.h"

namespace headgate {

// What a compiled grammar is, for people and logs.
struct GrammarFigures {
  int64_t rules = 0;
  int64_t states = 0;
  double compile_seconds = 0;
};

struct GrammarOptions {
  // Also walk the vocabulary for the places that most texts come through (a few milliseconds), so
  // that the first answer need not.
  bool prepare = true;
  // What is known of texts may take so much memory before it is begun anew.
  int64_t machine_bytes = int64_t{48} << 20;
};

class GrammarConstraint : public TokenConstraint {
 public:
  // Throws kInvalidArgument when no text fits `grammar` or compiling it would take too long.
  GrammarConstraint(const Grammar& grammar, std::shared_ptr<const TokenTrie> trie,
                    const GrammarOptions& options = {});
  ~GrammarConstraint() override;

  std::unique_ptr<ConstraintState> start() const override;
  int64_t memory_bytes() const override;
  GrammarFigures figures() const;

  // Whether `text` as a whole fits the grammar (named tokens cannot occur in it).
  bool matches(std::string_view text) const;

 private:
  class Core;
  class State;
  std::shared_ptr<Core> core_;
};

}  // namespace headgate
