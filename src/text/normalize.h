// Normalisation form C of UTF-8 text.
#pragma once

#include <string>
#include <string_view>

namespace headgate {

// The NFC form of valid UTF-8 `text`: `text` itself when it already is NFC, else a view of
// `storage`, which is overwritten. Time is n log n at worst, one pass over ordinary text. Same as
// the NFC normaliser of PyPI `tokenizers`, which knows the canonical data of Unicode 9 and leaves
// combining marks and composites of later versions as they stand.
std::string_view normalize_nfc(std::string_view text, std::string& storage);

}  // namespace headgate
