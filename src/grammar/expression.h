// Regular expressions and right-hand sides of grammars as trees, and their automata.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/code_points.h"
#include "grammar/grammar.h"

namespace headgate {

// Deepest nesting that any front end accepts: beyond it, recursion could run out of stack.
constexpr int kMostNesting = 500;
// Largest text of a schema, a regular expression or a grammar.
constexpr int64_t kMostGrammarBytes = int64_t{1} << 20;

struct Expression {
  enum class Kind : uint8_t {
    kEmpty,
    kClass,
    kLiteral,
    kSequence,
    kChoice,
    kRepeat,
    kRule,
    kToken
  };
  Kind kind = Kind::kEmpty;
  int32_t min = 0, max = 0;  // of kRepeat; kUnbounded
  int32_t rule = -1;         // of kRule; the token of kToken
  CodePointSet set;          // of kClass
  std::u32string text;       // of kLiteral
  std::vector<Expression> parts;

  static Expression empty() { return {}; }
  static Expression of_class(CodePointSet set);
  static Expression literal(std::u32string text);
  static Expression literal_utf8(std::string_view text);
  static Expression sequence(std::vector<Expression> parts);
  static Expression choice(std::vector<Expression> parts);
  static Expression repeat(Expression body, int32_t min, int32_t max);
  static Expression call(int32_t rule);
  static Expression token(int32_t token);
};

// Adds what the expression reads behind state `from` of the grammar, as UTF-8; returns the state
// behind it. Large counted repetitions become rules of their own, named after `name`.
int32_t add_expression(Grammar& grammar, const Expression& expression, int32_t from,
                       std::string_view name, WorkBudget& budget);

// The automaton over code points of an expression without calls and tokens. Throws kInvalidArgument
// where it grows beyond kMostCharacterStates.
constexpr int64_t kMostCharacterStates = 20'000;
Dfa character_dfa(const Expression& expression, WorkBudget& budget);

}  // namespace headgate
