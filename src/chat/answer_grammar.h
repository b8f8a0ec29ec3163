// What an answer may look like: tool calls forced from their opening tag on, and reasoning left
// free in front of whatever is asked for.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "chat/output_parser.h"
#include "grammar/grammar.h"
#include "grammar/token_trie.h"

namespace headgate {

struct ToolGrammarOptions {
  ToolStyle style = ToolStyle::kHermesJson;
  // Free text first, and calls as the model likes; else the answer is one call or more.
  bool required = false;
  std::string name;      // the only tool that may be called; empty: any
  bool parallel = true;  // more than one call
};

// Answers that call the declared tools (OpenAI tool objects) with arguments their schemas allow, in
// the spelling that the model was trained on. From the opening tag on, everything is forced: tags,
// names, arguments. Where the vocabulary has the tags as tokens only these count; in other
// vocabularies their text does. A tool whose schema cannot be obeyed takes any JSON object, which
// `notes` says, unless it is declared `strict`: then kInvalidArgument. Throws the same for a name
// that no tool has, no tools, or a style without calls.
Grammar tool_grammar(const json::array& tools, const TokenTrie& tokens,
                     const ToolGrammarOptions& options, std::vector<std::string>* notes = nullptr);

// Reasoning may come before what `grammar` says, as `reasoning` has it: free text, up to </think>
// and the newlines behind it.
void allow_reasoning(Grammar& grammar, const TokenTrie& tokens,
                     OutputParserOptions::Reasoning reasoning);

}  // namespace headgate
