// Grammars of texts in which some words never occur.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "grammar/grammar.h"

namespace headgate {

// Adds any text that contains none of `words` (UTF-8, not empty) behind state `from`; returns the
// state behind it. Throws kInvalidArgument where that needs too many states.
int32_t add_text_without(Grammar& grammar, int32_t from, std::span<const std::string> words);

}  // namespace headgate
