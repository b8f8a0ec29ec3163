// The parts of tokenizer files that several file forms share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/tokenizer_parts.h"

namespace headgate {

// A token -> id object as a list by id. Throws kInvalidFile for ids that are no integers, used
// twice, or so large that more than kMaxIdGap of them would be missing.
std::vector<std::string> tokens_by_id(const json::value& vocab, std::string_view source);

// One entry of added_tokens or added_tokens_decoder, its id given. Throws kUnsupported for
// single_word.
AddedToken read_added_token(const json::value& entry, int32_t id, std::string_view source);

}  // namespace headgate
