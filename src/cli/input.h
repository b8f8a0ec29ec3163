// What commands read: texts, token ids and JSON from arguments, files and standard input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace headgate {

// The text of `argument` when given, else of `file` ("-" is standard input), else of standard
// input. Throws kInvalidArgument when both are given, or when neither is and standard input is a
// terminal.
std::string read_text_input(const std::optional<std::string>& argument,
                            const std::optional<std::string>& file, std::string_view what);

// The same for a named file or "-" alone.
std::string read_file_or_stdin(const std::string& file);

// Token ids from JSON: [1, 2, 3] or an object with such an array under "ids". Throws kInvalidFile.
std::vector<int32_t> parse_ids(std::string_view text, std::string_view source);
std::vector<int32_t> read_ids(const std::string& file);
// "[1, 2, 3]".
std::string ids_to_json(const std::vector<int32_t>& ids);

// "ID=VALUE" of --logit-bias. Throws kInvalidArgument.
std::pair<int32_t, float> parse_logit_bias(const std::string& text);

// A list of tool descriptions: an array, or an object with one under "tools". Bare functions
// ({"name": ...}) are wrapped into {"type": "function", "function": ...}. Throws kInvalidFile.
json::array parse_tools(std::string_view text, std::string_view source);

// A JSON object such as --kwargs takes. Throws kInvalidFile.
json::object parse_json_object(std::string_view text, std::string_view source);

// "500M", "2G", "4096": bytes, with K, M, G, T as powers of 1000. Throws kInvalidArgument.
int64_t parse_size(const char* option, const std::string& text);

}  // namespace headgate
