// The complement of "a word somewhere", written out as states.
#include "chat/text_without.h"

#include <vector>

#include "grammar/character_sets.h"
#include "grammar/expression.h"

namespace headgate {

int32_t add_text_without(Grammar& grammar, int32_t from, std::span<const std::string> words) {
  WorkBudget budget("words that may not occur");
  const auto any = [] {
    return Expression::repeat(Expression::of_class(CodePointSet::all()), 0, kUnbounded);
  };
  std::vector<Expression> ends;
  for (const std::string& word : words)
    ends.push_back(Expression::sequence({any(), Expression::literal_utf8(word), any()}));
  const Dfa set = complement(character_dfa(Expression::choice(std::move(ends)), budget));
  const int32_t end = grammar.state();
  std::vector<int32_t> states;
  for (size_t i = 0; i < set.states.size(); ++i) states.push_back(grammar.state());
  grammar.nfa().add_epsilon(from, states[0]);
  for (size_t i = 0; i < set.states.size(); ++i) {
    for (const Dfa::Range& range : set.states[i].ranges)
      grammar.nfa().add_utf8(states[i], CodePointSet({{range.low, range.high}}),
                             states[static_cast<size_t>(range.target)]);
    if (set.states[i].accepting) grammar.nfa().add_epsilon(states[i], end);
  }
  return end;
}

}  // namespace headgate
