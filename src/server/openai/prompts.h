// Prompts as /v1/completions and /v1/embeddings take them: texts, token ids, or arrays of either.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/service.h"

namespace headgate {

using Prompts = std::vector<std::vector<int32_t>>;

// Throws ApiError 400, naming `field`, for what is none and for more than `most`. An empty text
// becomes the token that a document begins with.
Prompts read_prompts(const json::value& value, const ServedModel& model, const std::string& field,
                     int64_t most);

}  // namespace headgate
