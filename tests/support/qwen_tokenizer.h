// Qwen's real vocabulary of 151,643 tokens, built from the merge list in tests/golden/tokenizer.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace headgate {

// `source_dir` is the root of the repository.
TokenizerParts qwen_tokenizer_parts(const std::string& source_dir);

// The same as the text of a tokenizer.json.
std::string tokenizer_json_text(const TokenizerParts& parts);

}  // namespace headgate
