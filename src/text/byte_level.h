// The byte-level spelling of vocabulary files: each byte written as one printable character.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate {

// Bytes 33-126, 161-172 and 174-255 stand for themselves, the other 68 become U+0100.. in ascending
// order. Source: GPT-2's vocabulary; same in every byte-level BPE tokenizer since.
std::string spell_bytes(std::string_view bytes);

// The bytes of a spelled token; nothing when a character is not of the alphabet (or not UTF-8).
std::optional<std::string> unspell_bytes(std::string_view token);

}  // namespace headgate
