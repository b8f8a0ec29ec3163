// Grammars in the EBNF dialect of llama.cpp (GBNF).
#pragma once

#include <string_view>

#include "grammar/grammar.h"
#include "grammar/token_trie.h"

namespace headgate {

// Lines `name ::= alternatives`, the rule `root` being the whole: "text" with the escapes \n \r \t
// \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH, [classes] and [^classes], ., rule names, ( ), |, * + ? {n}
// {n,} {n,m}, # comments; <name> is the added token of that name, <[id]> the token with that id.
// Left-recursive rules work. `tokens` may be null: then no token can be named. Throws
// kInvalidArgument with the line.
Grammar gbnf_grammar(std::string_view text, const TokenTrie* tokens, std::string_view source);

}  // namespace headgate
