// Splitting the tables of the generator.
#include "data/text_tables.h"

#include <algorithm>

#include "base/error.h"

namespace headgate {

std::vector<std::string> split_list(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    if (end > at) out.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> split_pairs(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  std::string one_line(text);
  std::erase(one_line, '\n');
  for (const std::string& item : split_list(one_line, ';')) {
    const size_t space = item.find(' ');
    HEADGATE_CHECK(space != std::string::npos);
    std::string a = item.substr(0, space), b = item.substr(space + 1);
    std::replace(a.begin(), a.end(), '_', ' ');
    std::replace(b.begin(), b.end(), '_', ' ');
    out.emplace_back(std::move(a), std::move(b));
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> split_fields(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& line : split_list(text, '\n')) {
    const size_t bar = line.find('|');
    HEADGATE_CHECK(bar != std::string::npos);
    out.emplace_back(line.substr(0, bar), line.substr(bar + 1));
  }
  return out;
}

}  // namespace headgate
