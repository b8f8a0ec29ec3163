// Splitting the tables of the generator.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate {

std::vector<std::string> split_list(std::string_view text, char separator);  // empty items dropped
// "a b;c d" -> (a, b), (c, d); "_" becomes a space.
std::vector<std::pair<std::string, std::string>> split_pairs(std::string_view text);
// Lines "a|b" -> (a, b).
std::vector<std::pair<std::string, std::string>> split_fields(std::string_view text);

}  // namespace headgate
