// Measures an importance matrix: runs a text through the model that is to be quantised.
#pragma once

#include <cstdint>
#include <string>

namespace headgate {

// Runs at most `max_tokens` tokens of `text_file` through the model `input` in sequences of a few
// hundred tokens and writes the matrix to `output`. Returns the number of tokens. Shows a progress
// bar; Ctrl-C cancels (an InterruptScope must exist).
int64_t measure_importance(const std::string& input, const std::string& text_file,
                           const std::string& output, int64_t max_tokens, int threads);

}  // namespace headgate
