// Cuts text into the pieces that byte-pair merging works on, as Qwen's regular expressions do.
#pragma once

#include <cstddef>
#include <string_view>

#include "text/tokenizer_parts.h"

namespace headgate {

// End of the piece that starts at `begin` < text.size(). `text` is valid UTF-8 and begin is on a
// character or at the end of an earlier piece. Every byte belongs to exactly one piece. Scanning a
// whole text piece by piece is linear.
size_t piece_end(PreTokenizer pre, std::string_view text, size_t begin);

}  // namespace headgate
