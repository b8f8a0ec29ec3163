// Regular expressions as JSON schema has them: ECMA-262 with Unicode, without what no automaton can
// do.
#pragma once

#include <string_view>

#include "grammar/expression.h"

namespace headgate {

// Literals, escapes (\n \t \xHH \uHHHH \u{H} \cX \d \w \s and their opposites), ., classes, groups
// (capturing, non-capturing, named: none captures), |, * + ? {n,m} (lazy ones read the same texts),
// \p{L} \p{N} \p{M} \p{White_Space} and \P, and ^ and $ at the ends of the whole or of one of its
// outermost branches. Look-around, back references, \b and other properties are refused by name.
//
// `anchored`: the expression must fit a whole text, ^ and $ change nothing. Otherwise it must occur
// somewhere in it, as JSON schema's "pattern" has it. `source` names it in errors
// (kInvalidArgument).
Expression parse_regex(std::string_view pattern, bool anchored, std::string_view source);

// Texts that fit the whole expression.
Grammar regex_grammar(std::string_view pattern);

}  // namespace headgate
