// Where along a prompt a state is worth keeping.
#pragma once

#include <cstdint>
#include <vector>

namespace headgate {

// Positions in (0, prompt_tokens), ascending: the first of `wanted` (the system prompt); of the
// rest those that are, seen from the prompt's end, not much closer than a quarter of their distance
// to the next one kept, so that many short messages do not cut a prompt into pieces; every multiple
// of `every`; and a few tokens before the end, where the same prompt is asked again.
std::vector<int64_t> choose_checkpoints(int64_t prompt_tokens, std::vector<int64_t> wanted,
                                        int64_t every);

}  // namespace headgate
